package identity

import (
	"context"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func revoked(of string, at time.Time) []mesh.Change {
	return []mesh.Change{{Revocation: &mesh.Revocation{Of: of, At: at}}}
}

// proofOf reads a chain as a connection's end does.
func proofOf(t *testing.T, a *Authority, chain string) Proof {
	t.Helper()
	leaf := first(t, chain)
	of, err := identityOf(leaf, a.domain)
	if err != nil {
		t.Fatal(err)
	}
	name, joined := joinOf(leaf)
	return Proof{of, nameOf(name), joined}
}

// What follows from one join keeps its name, and goes with it; what joined later stays.
func TestRevocations(t *testing.T) {
	var late atomic.Int64
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return start.Add(time.Duration(late.Load())) }
	a := own(t, Config{Now: now})
	request := csr(t, newKey(t), x509.CertificateRequest{})
	web := workloadOf("web")
	join := func() Proof {
		t.Helper()
		issued, err := a.Issue(request, web)
		if err != nil {
			t.Fatal(err)
		}
		of := proofOf(t, a, issued.Chain)
		if of.Workload != issued.Workload || len(of.Workload) != mesh.WorkloadNameLength || of.Identity != web {
			t.Fatalf("%+v of %+v", of, issued)
		}
		return of
	}
	one, two := join(), join()
	if one.Workload == two.Workload || !one.Joined.Equal(start) {
		t.Fatalf("%+v, %+v", one, two)
	}
	if _, err := a.Renew(request, one); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Errorf("before it is known what is revoked: %v", err)
	}
	r := a.Revocations()
	r.Apply(true, nil)
	late.Store(int64(30 * time.Minute))
	again, err := a.Renew(request, one)
	if got := proofOf(t, a, again.Chain); err != nil || got != one {
		t.Fatalf("renewed: %+v, %v", got, err)
	}
	streams := map[Proof]context.Context{}
	for _, of := range []Proof{one, two} {
		if streams[of], err = r.Until(t.Context(), of); err != nil {
			t.Fatal(err)
		}
	}
	r.Apply(true, revoked(mesh.RevocationOfWorkload(one.Workload), now()))
	if _, err := a.Renew(request, one); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "heddle token create --join web") {
		t.Errorf("a revoked workload: %v", err)
	}
	if cause := context.Cause(streams[one]); mesh.KindOf(cause) != mesh.KindDenied || streams[two].Err() != nil {
		t.Errorf("the streams ended with %v and %v", cause, streams[two].Err())
	}
	if _, err := a.Renew(request, two); err != nil {
		t.Errorf("another workload: %v", err)
	}
	r.Apply(true, revoked("service/web", now().Add(time.Minute))) // by a server whose clock is ahead
	if _, err := a.Renew(request, two); mesh.KindOf(err) != mesh.KindDenied || streams[two].Err() == nil {
		t.Errorf("a workload of a revoked service: %v", err)
	}
	if _, err := r.Until(t.Context(), two); err == nil {
		t.Error("it opens a stream")
	}
	if later, err := a.Renew(request, join()); err != nil {
		t.Errorf("who joined afterwards: %+v, %v", later, err)
	}
	// A certificate without a name was given before there were any.
	if err := r.Check(Proof{Identity: web}); err == nil {
		t.Error("one that nobody knows the join of is not revoked")
	}
	if err := r.Check(Proof{Identity: mesh.Identity{Kind: mesh.GatewayIdentity, Name: "web"}}); err != nil {
		t.Errorf("a gateway of the name: %v", err)
	}
	r.Apply(true, []mesh.Change{{Revocation: &mesh.Revocation{Of: "service/web"}, Deleted: true}})
	if _, err := a.Renew(request, two); err != nil {
		t.Errorf("after it was taken back: %v", err)
	}
}
