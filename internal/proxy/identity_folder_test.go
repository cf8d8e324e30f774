package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// tlsListener is a listener that shows the identity as pushed configuration names
// it: by a path below the folder that Envoy runs in.
const tlsListener = `{
  "node": {"id": "web/1", "cluster": "web"},
  "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
  "static_resources": {"listeners": [{
    "name": "tls", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
    "filter_chains": [{
      "filters": [{"name": "echo", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}],
      "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": %q, "sds_config": {
          "resource_api_version": "V3",
          "path_config_source": {"path": %q, "watched_directory": {"path": %q}}
        }}]}
      }}
    }]
  }]}
}`

// An Envoy finds its identity, and each new certificate, by the same words in the
// identity's own folder and in one with a link to it.
func TestAnIdentityIsFoundWhereEnvoyRuns(t *testing.T) {
	binary := envoytest.Path(t)
	at := identity.In(t.TempDir())
	if err := identity.Create(identity.Config{}, at); err != nil {
		t.Fatal(err)
	}
	authority, err := identity.Load(identity.Config{Lifetime: time.Second}, at)
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "join")
	if err := os.WriteFile(token, []byte(identity.FormatJoinToken("hdj_a_b", authority.Pin())), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := workload.Open(t.Context(), workload.Config{
		Dir: t.TempDir(), Identity: mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"}, JoinTokenFile: token,
		Issue: func(_ context.Context, _ *tls.Config, csr, _ string) (identity.Issued, error) {
			return authority.Issue(csr, mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	linked := t.TempDir()
	if err := os.Symlink(own.Files().Dir, filepath.Join(linked, mesh.IdentityFolder)); err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, folder := range []string{own.Files().Dir, linked} {
		addresses = append(addresses, showingTLS(t, spec{
			path: binary, concurrency: 1, logLevel: "warning", folder: folder, log: slog.New(slog.DiscardHandler),
			bootstrap: fmt.Appendf(nil, tlsListener, mesh.IdentitySecret, mesh.IdentityFolder+"/"+mesh.IdentityFile, mesh.IdentityFolder),
		}))
	}
	ctx, stop := context.WithCancel(t.Context())
	renewing := make(chan struct{})
	go func() { defer close(renewing); own.Run(ctx) }()
	t.Cleanup(func() { stop(); <-renewing })
	for _, address := range addresses {
		seen := map[string]bool{}
		for end := time.Now().Add(20 * time.Second); len(seen) < 4; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d certificates were seen", len(seen))
			}
			connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec,noctx // looks at what is shown
			if err != nil {
				t.Fatal(err)
			}
			seen[connection.ConnectionState().PeerCertificates[0].SerialNumber.String()] = true
			connection.Close()
		}
	}
}

// showingTLS starts an Envoy for the length of a test, and says where its one
// listener is.
func showingTLS(t *testing.T, s spec) string {
	t.Helper()
	p, err := start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(time.Second, nil) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	admin, err := p.adminAddress(ctx)
	if err != nil {
		t.Fatal(err, p.last.String())
	}
	a := newAdmin(admin.String())
	defer a.close()
	for {
		found, err := a.listeners(ctx)
		if address, there := found.all["tls"]; err == nil && there {
			return address.String()
		}
		if !sleep(ctx, 20*time.Millisecond) {
			t.Fatalf("the listener is not there: %v\n%s", err, p.last.String())
		}
	}
}
