package proxy_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	grpcxds "google.golang.org/grpc/xds"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// keptIn is an identity in a folder, as cmd/heddle hands it over.
func keptIn(t *testing.T, dir string) *proxy.Identity {
	t.Helper()
	files, err := workload.In(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &proxy.Identity{
		ServerID: "spiffe://heddle.local/heddle/server", Dir: files.Dir,
		Cert: files.Cert, Key: files.Key, Bundle: files.Bundle,
	}
}

// joined fills a folder with an identity.
func joined(t *testing.T) (dir string) {
	t.Helper()
	at := identity.In(t.TempDir())
	if err := identity.Create(identity.Config{}, at); err != nil {
		t.Fatal(err)
	}
	authority, err := identity.Load(identity.Config{}, at)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	token := filepath.Join(dir, "join")
	if err := os.WriteFile(token, []byte(identity.FormatJoinToken("hdj_a_b", authority.Pin())), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = workload.Open(t.Context(), workload.Config{
		Dir: dir, Identity: mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"}, JoinTokenFile: token,
		Issue: func(_ context.Context, _ *tls.Config, csr, _ string) (identity.Issued, error) {
			return authority.Issue(csr, mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// With an identity, both bootstraps show its files to Envoy and to gRPC, which
// look for them at once.
func TestBootstrapsWithAnIdentity(t *testing.T) {
	const folder = "/var/lib/heddle/web"
	dir := joined(t)
	for name, make := range map[string]func(*proxy.Identity) ([]byte, error){
		"identity": func(i *proxy.Identity) ([]byte, error) {
			return proxy.Bootstrap(proxy.BootstrapConfig{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, XDS: []string{"10.0.0.1:18443"}, Identity: i})
		},
		"proxyless-identity": func(i *proxy.Identity) ([]byte, error) {
			return proxy.ProxylessBootstrap(proxy.ProxylessConfig{Service: "web", Instance: "web-1", XDS: []string{"10.0.0.1:18443"}, Identity: i})
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := make(keptIn(t, folder))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "bootstrap", name+".golden.json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; write it with: go test ./internal/proxy -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", file, diff)
			}
			here := []byte(strings.ReplaceAll(string(got), folder, dir))
			if name == "identity" {
				t.Setenv("HEDDLE_ENVOY", envoytest.Path(t))
				t.Chdir(dir) // what the files are named from
				envoytest.Validate(t, here)
				return
			}
			resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(here)
			if err != nil || resolver == nil {
				t.Errorf("gRPC refuses it: %v", err)
			}
		})
	}
}
