package identity

import (
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What was a gateway by its Gateway is looked at again within a day: the Gateway may be
// gone. A gateway that an admin's token made renews for as long as it runs.
func TestAGatewayOfTheGatewayAPIJoinsAnewEachDay(t *testing.T) {
	var late atomic.Int64
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	a := own(t, Config{Now: func() time.Time { return start.Add(time.Duration(late.Load())) }})
	a.Revocations().Apply(true, nil)
	request := csr(t, newKey(t), x509.CertificateRequest{})
	join := func(name mesh.ServiceName) Proof {
		t.Helper()
		issued, err := a.Issue(request, mesh.Identity{Kind: mesh.GatewayIdentity, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return proofOf(t, a, issued.Chain)
	}
	made, edge, alike := join(mesh.GatewayAPIGateway("prod", "shop", "web")), join("edge"), join("gateway-prod-eu")
	late.Store(int64(23 * time.Hour))
	issued, err := a.Renew(request, made)
	if err != nil {
		t.Fatalf("within the day: %v", err)
	}
	renewed := proofOf(t, a, issued.Chain)
	late.Store(int64(25 * time.Hour))
	for _, of := range []Proof{made, renewed} {
		if _, err := a.Renew(request, of); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "joins anew") {
			t.Errorf("after a day: %v", err)
		}
	}
	for _, of := range []Proof{edge, alike} {
		if _, err := a.Renew(request, of); err != nil {
			t.Errorf("%s after a day: %v", of.Identity, err)
		}
	}
}
