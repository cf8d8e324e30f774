package test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// gatewayJoin are the arguments of a gateway that joins, for the first time, as edge.
func gatewayJoin(t *testing.T, s *server) (arguments []string, dir string) {
	t.Helper()
	join, _ := s.joinTokenFor(mesh.Identity{Kind: mesh.GatewayIdentity, Name: "edge"}, 0, 1)
	dir = filepath.Join(t.TempDir(), "identity")
	return []string{"--identity-dir", dir, "--join-token-file", join}, dir
}

// TestAGatewayWithAnIdentity: where plain xDS is refused, gateways join, serve what
// routes say, and renew every 6 seconds, while requests go through, the mesh
// changes and an Envoy dies; one has certificates of its own besides.
func TestAGatewayWithAnIdentity(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t, "--identity-lifetime", "12s") // half of it is left to a server that starts on a busy machine
	s.declare(service("orders", mesh.HTTP))
	s.route(route("shop", "shop.example.com", "orders"))
	orders := newSecureWorkload(t, s, "orders", "orders-1", app(t, says("orders here")))
	all := workloads{orders}
	t.Cleanup(all.leave)
	all.start(t)
	join, dir := gatewayJoin(t, s)
	g := startGateway(t, s, join...)
	g.wants("shop.example.com", "/", http.StatusOK, "orders here")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var asked, failed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		edge := &sidecar{outbound: g.http}
		for ctx.Err() == nil {
			asked.Add(1)
			if got, err := edge.call(t, "shop.example.com", "/"); err != nil || got.status != http.StatusOK { //nolint:contextcheck // each call has a time of its own
				failed.Add(1)
			}
		}
	}()
	seen := map[string]bool{}
	for n := 0; len(seen) < 3 && ctx.Err() == nil; n++ {
		if data, err := os.ReadFile(filepath.Join(dir, "current", "cert.pem")); err == nil {
			seen[string(data)] = true
		}
		s.route(route("extra", fmt.Sprintf("extra-%d.example.com", n%3), "orders"))
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	<-done
	if len(seen) < 3 || failed.Load() > 0 || asked.Load() < 50 {
		t.Errorf("%d certificates were seen; %d of %d requests failed", len(seen), failed.Load(), asked.Load())
	}

	// What the control plane sends may name the identity below the folder of Envoy, with
	// certificates of its own and without.
	pem := t.TempDir()
	writeCertificate(t, pem, "shop.example.com")
	join, second := gatewayJoin(t, s)
	both := startGateway(t, s, append(join, "--tls-cert", filepath.Join(pem, "cert.pem"), "--tls-key", filepath.Join(pem, "key.pem"))...)
	for _, one := range []struct {
		pid int
		dir string
	}{{g.pid, dir}, {both.pid, second}} {
		cwd := fmt.Sprintf("/proc/%d/cwd", one.pid)
		if _, err := os.Stat("/proc/self/cwd"); err != nil {
			break // not a Linux
		}
		found, err := filepath.EvalSymlinks(filepath.Join(cwd, mesh.IdentityFolder, mesh.IdentityFile))
		if want := filepath.Join(one.dir, mesh.IdentityFile); err != nil || found != want {
			t.Errorf("Envoy finds %s, want %s: %v", found, want, err)
		}
	}

	// Another Envoy, and another control plane, are met with the certificate of now.
	if err := syscall.Kill(g.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.restart()
	s.client = s.newClient(s.token)
	s.route(route("new", "new.example.com", "orders"))
	g.wants("new.example.com", "/", http.StatusOK, "orders here")
	g.wants("shop.example.com", "/", http.StatusOK, "orders here")
	if !regexp.MustCompile("action=renewed object=workload/[0-9a-f]{18} author=spiffe://heddle.local/gateway/edge").MatchString(s.Log.String()) {
		t.Errorf("no renewal of the gateway in the log")
	}
}

// TestJoinTokensOfOtherKinds: a service's is not a gateway's, also if both have one name.
func TestJoinTokensOfOtherKinds(t *testing.T) {
	t.Parallel()
	s := startSecure(t)
	path := heddle.Path(t)
	services, _ := s.joinToken("edge", 0, 10)
	gateways, _ := s.joinTokenFor(mesh.Identity{Kind: mesh.GatewayIdentity, Name: "edge"}, 0, 10)
	for flag, c := range map[string]struct{ file, want string }{
		"--gateway": {services, "the server gave the identity spiffe://heddle.local/service/edge, and this is gateway"},
		"--service": {gateways, "the server gave the identity spiffe://heddle.local/gateway/edge, and this is service"},
	} {
		output, code := run(t, path, "proxy", flag, "edge", "--envoy", path, "--server", s.restTLS, "--xds", s.xdsTLS,
			"--identity-dir", filepath.Join(t.TempDir(), "identity"), "--join-token-file", c.file)
		if code == 0 || !strings.Contains(output, c.want) {
			t.Errorf("%s ended with %d: %s", flag, code, output)
		}
	}
	output, code := run(t, path, "proxy", "--gateway", "edge", "--envoy", path, "--server", s.restTLS, "--xds", s.xdsTLS, "--identity-dir", t.TempDir())
	if code == 0 || !strings.Contains(output, "heddle token create --join-gateway edge") {
		t.Errorf("without a token it ended with %d: %s", code, output)
	}
}
