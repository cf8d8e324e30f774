package test

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestAnAuthzServiceThatHangsFailsNoRequest: of two AuthZ services one stops without
// closing its connections. Requests that had asked it ask the other, and none fails.
func TestAnAuthzServiceThatHangsFailsNoRequest(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startTrusted(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	join, _ := s.joinTokenFor(mesh.Identity{Kind: mesh.AuthzIdentity}, time.Minute, 1)
	hangs := startAuthz(t, s, "--identity-dir", t.TempDir(), "--join-token-file", join)
	all := startMesh(t, s, "web", "orders")
	web := all["web"].side()
	web.wants(t, "orders", "/", http.StatusOK, "orders token=ey")
	heddletest.Eventually(t, "web's Envoy to ask both AuthZ services", func() error {
		if asked := all["web"].stat(t, "cluster.heddle.authz.membership_healthy"); asked != "2" {
			return fmt.Errorf("it has %s", asked)
		}
		return nil
	})

	l := startLoad(t, web, "orders")
	l.more(t, 100)
	if err := hangs.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	l.more(t, 50)
	t.Logf("50 requests in %s, the time in which Envoy notices", time.Since(begun))
	l.more(t, 500)
	if err := hangs.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.more(t, 200)
	l.endsWithoutFailure(t)
}
