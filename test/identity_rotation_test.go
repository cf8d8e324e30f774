package test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestTheAuthorityIsReplaced plays the three steps of docs/identity.md, each with
// a new server process, while requests go through two sidecars and a gateway: none
// fails, and in the end nobody trusts the first root.
func TestTheAuthorityIsReplaced(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t, "--identity-lifetime", "20s") // half of it is left to a server that starts on a busy machine
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	s.route(route("shop", "shop.example.com", "orders"))
	orders := newSecureWorkload(t, s, "orders", "orders-1", app(t, says("orders here")))
	web := newSecureWorkload(t, s, "web", "web-1", "")
	all := workloads{orders, web}
	t.Cleanup(all.leave)
	all.start(t)
	join, gatewayDir := gatewayJoin(t, s)
	g := startGateway(t, s, join...)
	side := &sidecar{outbound: "127.0.0.1:" + web.argument("--outbound-port")}
	side.wants(t, "orders", "/", http.StatusOK, "orders here")
	g.wants("shop.example.com", "/", http.StatusOK, "orders here")

	ctx, cancel := context.WithCancel(t.Context())
	var asked, failed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			from, host := side, "orders"
			if n%2 == 1 {
				from, host = &sidecar{outbound: g.http}, "shop.example.com"
			}
			asked.Add(1)
			if got, err := from.call(t, host, "/"); err != nil || got.status != http.StatusOK { //nolint:contextcheck // each call has a time of its own
				failed.Add(1)
			}
		}
	}()
	stop := func() { cancel(); <-done }
	defer stop()

	first, next := identity.In(s.dataDir()), identity.In(t.TempDir())
	if err := identity.Create(identity.Config{}, next); err != nil {
		t.Fatal(err)
	}
	pin := func(file string) string {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		certificates, err := identity.ParseCertificates(data)
		if err != nil {
			t.Fatal(err)
		}
		return identity.Pin(certificates[0])
	}
	before, after := pin(first.Cert), pin(next.Cert)
	dirs := []string{orders.argument("--identity-dir"), web.argument("--identity-dir"), gatewayDir}
	plain := slices.Clone(s.Arguments)
	for i, step := range []struct {
		arguments []string
		roots     []string // the signing one first
	}{
		{[]string{"--ca-bundle", next.Cert}, []string{before, after}},
		{[]string{"--ca-key", next.Key, "--ca-cert", next.Cert, "--ca-bundle", first.Cert}, []string{after, before}},
		{[]string{"--ca-key", next.Key, "--ca-cert", next.Cert}, []string{after}},
	} {
		s.Kill()
		s.Arguments = append(slices.Clone(plain), step.arguments...)
		s.restart()
		s.client = s.newClient(s.token)
		for _, dir := range dirs {
			heddletest.Eventually(t, fmt.Sprintf("step %d in %s", i+1, dir), func() error {
				return trusts(dir, step.roots)
			})
		}
		// The mesh still reaches everybody.
		name := fmt.Sprintf("step-%d", i+1)
		s.declare(service(name, mesh.HTTP), service("web", mesh.HTTP, "orders", mesh.ServiceName(name)))
		s.route(route(name, name+".example.com", "orders"))
		side.wants(t, name, "/", http.StatusServiceUnavailable, "no healthy upstream")
		g.wants(name+".example.com", "/", http.StatusOK, "orders here")
		if list, err := s.client.Instances(t.Context(), "orders"); err != nil || len(list) != 1 || list[0].Health == mesh.Unhealthy {
			t.Errorf("step %d: the instance is %+v, %v", i+1, list, err)
		}
	}
	stop()
	if failed.Load() > 0 || asked.Load() < 100 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

// trusts says how what an identity trusts, and who signed it, differ from the roots
// that are wanted.
func trusts(dir string, roots []string) error {
	bundle, err := os.ReadFile(filepath.Join(dir, "current", "bundle.pem"))
	if err != nil {
		return err
	}
	trusted, err := identity.ParseCertificates(bundle)
	if err != nil {
		return err
	}
	chain, err := os.ReadFile(filepath.Join(dir, "current", "cert.pem"))
	if err != nil {
		return err
	}
	leaf, err := identity.ParseCertificates(chain)
	if err != nil {
		return err
	}
	var got []string
	for _, one := range trusted {
		got = append(got, identity.Pin(one))
	}
	if !slices.Equal(got, roots) {
		return fmt.Errorf("it trusts %v, want %v", got, roots)
	}
	if time.Until(leaf[0].NotAfter) < 0 {
		return fmt.Errorf("its certificate expired at %s", leaf[0].NotAfter)
	}
	return leaf[0].CheckSignatureFrom(trusted[0])
}
