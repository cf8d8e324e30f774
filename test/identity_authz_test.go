package test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// authzApart is a `heddle authz` and where it listens.
type authzApart struct {
	*heddletest.Process
	address string
}

// startAuthz runs `heddle authz` on a server's etcd and with its signing keys.
func startAuthz(t *testing.T, s *server, arguments ...string) authzApart {
	t.Helper()
	apart := authzApart{Process: heddle.Start(t, append([]string{
		"authz", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--key-dir", filepath.Join(s.dataDir(), "signing-keys"), "--key-type", "es256",
		"--etcd-endpoints", "unix://" + filepath.Join(s.dataDir(), "etcd.sock"), "--server", s.restTLS,
	}, arguments...)...)}
	var said struct{ GRPC string }
	apart.AwaitReady(&said)
	apart.address = said.GRPC
	return apart
}

// dataDir is where a server with an etcd of its own keeps its data.
func (s *server) dataDir() string { return s.Argument("--data-dir") }

// asked has a holder of a certificate ask an AuthZ service for a callee. It gives the
// reason of a refusal, "" if there is none, and the certificate of the service.
func asked(t *testing.T, address, callee string, creds func(look func(tls.ConnectionState)) credentials.TransportCredentials) (reason string, shown tls.ConnectionState, err error) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds(func(state tls.ConnectionState) { shown = state })))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answer, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: "spiffe://heddle.local/service/liar"}, ContextExtensions: map[string]string{"callee": callee},
	}})
	return answer.GetStatus().GetMessage(), shown, err
}

// with shows the certificate in a folder, and looks at the server's.
func with(t *testing.T, dir string) func(func(tls.ConnectionState)) credentials.TransportCredentials {
	return func(look func(tls.ConnectionState)) credentials.TransportCredentials {
		config := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error { look(state); return nil }} //nolint:gosec // looks at what is shown
		if dir != "" {
			pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "current", "cert.pem"), filepath.Join(dir, "current", "key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		return credentials.NewTLS(config)
	}
}

func spiffeID(state tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 || len(state.PeerCertificates[0].URIs) != 1 {
		return ""
	}
	return state.PeerCertificates[0].URIs[0].String()
}

// TestAuthzWithAnIdentity: the AuthZ service, inside the server and apart, shows an
// identity of the mesh, renews it, and takes callers by theirs.
func TestAuthzWithAnIdentity(t *testing.T) {
	t.Parallel()
	s := startSecure(t, "--identity-lifetime", "6s", "--authz-listen", "127.0.0.1:0")
	other := startSecure(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	join, _ := s.joinTokenFor(mesh.Identity{Kind: mesh.AuthzIdentity}, 0, 1)
	apart := startAuthz(t, s, "--identity-dir", filepath.Join(t.TempDir(), "identity"), "--join-token-file", join)
	stranger := other.joined("web")
	for id, address := range map[string]string{"spiffe://heddle.local/heddle/authz": apart.address, "spiffe://heddle.local/heddle/server": s.authz} {
		web, gateway := s.joined("web"), s.joinedAs(mesh.Identity{Kind: mesh.GatewayIdentity, Name: "web"})
		reason, shown, err := asked(t, address, "orders", with(t, web))
		if err != nil || reason != "" || spiffeID(shown) != id || shown.Version != tls.VersionTLS13 {
			t.Errorf("%s: %q, %v; it shows %s", id, reason, err, spiffeID(shown))
		}
		if reason, _, err := asked(t, address, "web", with(t, web)); err != nil || reason != "undeclared" {
			t.Errorf("%s: an undeclared call: %q, %v", id, reason, err)
		}
		if reason, _, err := asked(t, address, "orders", with(t, gateway)); err != nil || reason != "not_routed" {
			t.Errorf("%s: a gateway of the same name: %q, %v", id, reason, err)
		}
		if reason, _, err := asked(t, address, "orders", with(t, s.joinedAs(mesh.Identity{Kind: mesh.AuthzIdentity}))); err != nil || reason != "no_identity" {
			t.Errorf("%s: who is neither: %q, %v", id, reason, err)
		}
		for name, dir := range map[string]string{"nobody": "", "another mesh's": stranger} {
			if reason, _, err := asked(t, address, "orders", with(t, dir)); err == nil {
				t.Errorf("%s: %s was answered %q", id, name, reason)
			}
		}
		seen := map[string]bool{shown.PeerCertificates[0].SerialNumber.String(): true}
		heddletest.Eventually(t, "the service's certificate to be renewed twice", func() error {
			_, shown, _ := asked(t, address, "orders", with(t, "")) // refused, and shown all the same
			if len(shown.PeerCertificates) > 0 {
				seen[shown.PeerCertificates[0].SerialNumber.String()] = true
			}
			if len(seen) < 3 {
				return fmt.Errorf("%d were seen", len(seen))
			}
			return nil
		})
	}
	if !strings.Contains(apart.Log.String(), "id=spiffe://heddle.local/heddle/authz") {
		t.Errorf("no new certificate in its log")
	}

	path := heddle.Path(t)
	common := []string{"authz", "--etcd-endpoints", "unix://" + filepath.Join(s.dataDir(), "etcd.sock"), "--key-dir", t.TempDir(), "--server", s.restTLS, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"}
	services, _ := s.joinToken("web", 0, 1)
	again, _ := s.joinTokenFor(mesh.Identity{Kind: mesh.AuthzIdentity}, 0, 1)
	for want, arguments := range map[string][]string{
		"and this is the AuthZ service: is the join token another's?": {"--identity-dir", t.TempDir(), "--join-token-file", services},
		"heddle token create --join-authz":                            {"--identity-dir", t.TempDir()},
		"--join-token-file needs --identity-dir":                      {"--join-token-file", again},
		"is instead of certificates":                                  {"--identity-dir", t.TempDir(), "--insecure-plain-callers"},
		"are instead of --identity-dir":                               {"--identity-dir", t.TempDir(), "--cert-file", "a", "--cert-key-file", "b", "--client-ca-file", "c"},
		"is of the trust domain heddle.local":                         {"--identity-dir", t.TempDir(), "--join-token-file", again, "--trust-domain", "example.org"},
	} {
		output, code := run(t, path, append(common, arguments...)...)
		if code == 0 || !strings.Contains(output, want) {
			t.Error(errors.New(want), code, output)
		}
	}
}
