package test

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestTemporaryRuntimeValuesVanishWithTheServer: values with a TTL stay for as
// long as there is a server, are gone once it stands still for that long, and are
// back when it goes on. Traffic knows nothing of it.
func TestTemporaryRuntimeValuesVanishWithTheServer(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	s.register("orders", "a", app(t, says("from a")))
	sides := map[string]*sidecar{}
	for _, mode := range []proxy.XDSMode{proxy.Delta, proxy.SotW} {
		sides[string(mode)] = startSidecar(t, s, "web", string(mode), "", mode)
		sides[string(mode)].wants(t, "orders", "/", http.StatusOK, "from a")
	}
	_, err := s.client.PutRuntime(t.Context(), mesh.Runtime{Values: map[string]any{"heddle.test.key": 42.0}, TTL: mesh.Duration(ttl)})
	if err != nil {
		t.Fatal(err)
	}
	known := func(what string, want bool) {
		t.Helper()
		heddletest.Eventually(t, what, func() error {
			for mode, side := range sides {
				if all := side.Get(t, "/runtime"); strings.Contains(all, "heddle.test.key") != want {
					return errors.New(mode + ": " + all)
				}
			}
			return nil
		})
	}
	known("the Envoys to know the value", true)
	l := startLoad(t, sides["delta"], "orders")
	for end := time.Now().Add(ttl + ttl/2); time.Now().Before(end); l.more(t, 20) {
		for mode, side := range sides {
			if all := side.Get(t, "/runtime"); !strings.Contains(all, "heddle.test.key") {
				t.Fatalf("the Envoy that speaks %s lost the value while the server was there: %s", mode, all)
			}
		}
	}
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	known("the Envoys to forget the value", false)
	l.more(t, 50)
	if err := s.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	known("the Envoys to know the value again", true)
	l.endsWithoutFailure(t)
}
