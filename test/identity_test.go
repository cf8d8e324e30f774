package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// startSecure runs a server that serves xDS to proven identities only.
func startSecure(t *testing.T, arguments ...string) *server {
	t.Helper()
	return startServer(t, append([]string{"--tls-listen", "127.0.0.1:0", "--xds-tls-listen", "127.0.0.1:0", "--require-identity"}, arguments...)...)
}

// joinToken gives a file with a join token for a service.
func (s *server) joinToken(service string, ttl time.Duration, uses int) (file, id string) {
	s.t.Helper()
	return s.joinTokenFor(mesh.Identity{Kind: mesh.ServiceIdentity, Name: mesh.ServiceName(service)}, ttl, uses)
}

func (s *server) joinTokenFor(of mesh.Identity, ttl time.Duration, uses int) (file, id string) {
	s.t.Helper()
	token, secret, err := s.client.CreateJoinToken(s.t.Context(), of, "", ttl, uses)
	if err != nil {
		s.t.Fatal(err)
	}
	file = filepath.Join(s.t.TempDir(), "join")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file, token.ID
}

// newSecureWorkload is newWorkload with an identity in place of an access token.
func newSecureWorkload(t *testing.T, s *server, name, id, app string) *workload {
	t.Helper()
	w := newWorkload(t, s, name, id, app)
	join, _ := s.joinToken(name, 0, 1)
	for i, argument := range w.Arguments {
		switch argument {
		case "--server":
			w.Arguments[i+1] = s.restTLS
		case "--xds":
			w.Arguments[i+1] = s.xdsTLS
		case "--token-file":
			w.Arguments[i], w.Arguments[i+1] = "--join-token-file", join
		}
	}
	w.Arguments = append(w.Arguments, "--identity-dir", filepath.Join(t.TempDir(), "identity"))
	return w
}

func (w *workload) argument(name string) string {
	for i, one := range w.Arguments {
		if one == name {
			return w.Arguments[i+1]
		}
	}
	return ""
}

// stat reads one of Envoy's counters.
func (w *workload) stat(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(w.Ready)
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Admin string }
	if err := json.Unmarshal(data, &said); err != nil {
		t.Fatal(err)
	}
	return envoyStat(t, said.Admin, name)
}

// envoyStat reads a counter of the Envoy whose admin interface is at an address.
func envoyStat(t *testing.T, admin, name string) string {
	t.Helper()
	got, err := ask(t, admin, admin, "/stats?filter=^"+name+"$")
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(got.body), ": ")
	return value
}

// TestSidecarsJoinAndRenew: two sidecars join with their tokens, register with
// their certificates, and renew those every 6 seconds, while the mesh changes
// and requests go through; nothing fails, and no xDS connection is made anew.
func TestSidecarsJoinAndRenew(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t, "--identity-lifetime", "12s", "--call-reports", "off") // each worker reports on a connection of its own
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	orders := newSecureWorkload(t, s, "orders", "orders-1", app(t, says("orders here")))
	web := newSecureWorkload(t, s, "web", "web-1", "")
	all := workloads{orders, web}
	t.Cleanup(all.leave)
	all.start(t)
	side := &sidecar{outbound: "127.0.0.1:" + web.argument("--outbound-port")}
	side.wants(t, "orders", "/", http.StatusOK, "orders here")
	if list, err := s.client.Instances(t.Context(), "orders"); err != nil || len(list) != 1 || !list[0].MTLS {
		t.Errorf("the instance is not marked: %+v, %v", list, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var asked, failed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			asked.Add(1)
			if got, err := side.call(t, "orders", "/"); err != nil || got.status != http.StatusOK { //nolint:contextcheck // each call has a time of its own
				failed.Add(1)
			}
		}
	}()
	cert := filepath.Join(web.argument("--identity-dir"), "current", "cert.pem")
	seen := map[string]bool{}
	for n := 0; len(seen) < 3 && ctx.Err() == nil; n++ {
		if data, err := os.ReadFile(cert); err == nil {
			seen[string(data)] = true
		}
		s.declare(service(fmt.Sprintf("extra-%d", n%3), mesh.HTTP))
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	<-done
	if len(seen) < 3 || failed.Load() > 0 || asked.Load() < 100 {
		t.Errorf("%d certificates were seen; %d of %d requests failed", len(seen), failed.Load(), asked.Load())
	}
	// The mesh still reaches the sidecar, over the connection of long expired certificates.
	s.declare(service("reviews", mesh.HTTP), service("web", mesh.HTTP, "orders", "reviews"))
	side.wants(t, "reviews", "/", http.StatusServiceUnavailable, "no healthy upstream")
	if got := web.stat(t, "cluster.xds_cluster.upstream_cx_total"); got != "1" {
		t.Errorf("Envoy made %s connections to the control plane", got)
	}
	// A new control plane: the sidecars come back with the certificates of now.
	s.Kill()
	s.restart()
	s.client = s.newClient(s.token)
	s.declare(service("web", mesh.HTTP, "orders"))
	side.wants(t, "reviews", "/", http.StatusForbidden, "reviews")
	side.wants(t, "orders", "/", http.StatusOK, "orders here")
}
