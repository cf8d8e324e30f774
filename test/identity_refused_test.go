package test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	keeping "github.com/heddle-mesh/heddle/internal/workload"
)

// join gets a certificate for a service, as heddle identity does, and gives its folder.
func (s *server) join(service, tokenFile string) (dir, output string, code int) {
	s.t.Helper()
	path := heddle.Path(s.t)
	dir = filepath.Join(s.t.TempDir(), "identity")
	output, code = run(s.t, path, "identity", "--once", "--service", service, "--identity-dir", dir, "--join-token-file", tokenFile, "--server", s.restTLS)
	return dir, output, code
}

// joinedAs gets a certificate for any identity, and gives its folder.
func (s *server) joinedAs(of mesh.Identity) (dir string) {
	s.t.Helper()
	token, _ := s.joinTokenFor(of, 0, 1)
	dir = filepath.Join(s.t.TempDir(), "identity")
	_, err := keeping.Open(s.t.Context(), keeping.Config{Dir: dir, Identity: of, JoinTokenFile: token, Issue: func(ctx context.Context, meeting *tls.Config, csr, joinToken string) (identity.Issued, error) {
		transport := &http.Transport{TLSClientConfig: meeting}
		defer transport.CloseIdleConnections()
		c, err := client.New(client.Config{Address: s.restTLS, Token: joinToken, HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			return identity.Issued{}, err
		}
		certificate, err := c.IssueIdentity(ctx, csr)
		return identity.Issued(certificate), err
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// joined is join that has to succeed.
func (s *server) joined(service string) (dir string) {
	s.t.Helper()
	token, _ := s.joinToken(service, 0, 1)
	dir, output, code := s.join(service, token)
	if code != 0 {
		s.t.Fatalf("heddle identity ended with %d: %s", code, output)
	}
	return dir
}

// openStream asks for clusters as a node, and gives how the stream ended, nil if
// it was served.
func openStream(t *testing.T, address, node string, creds credentials.TransportCredentials) error {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: node}, TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
	}) // why it failed is what Recv says
	_, err = stream.Recv()
	return err
}

// showing are a client's credentials, with the certificate in a folder if there is one.
func showing(t *testing.T, dir string) credentials.TransportCredentials {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // these tests are of what the server verifies
	if dir != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "current", "cert.pem"), filepath.Join(dir, "current", "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		// Whatever authorities the server names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return credentials.NewTLS(config)
}

// TestTheScopeComesFromTheProvenIdentity: whoever says that it is somebody else,
// or proves nothing, is not served.
func TestTheScopeComesFromTheProvenIdentity(t *testing.T) {
	t.Parallel()
	s, other := startSecure(t), startSecure(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	web, stranger := s.joined("web"), other.joined("web")
	gateway, authz := s.joinedAs(mesh.Identity{Kind: mesh.GatewayIdentity, Name: "web"}), s.joinedAs(mesh.Identity{Kind: mesh.AuthzIdentity})
	if err := openStream(t, s.xdsTLS, "web/1", showing(t, web)); err != nil {
		t.Fatalf("with its own certificate: %v", err)
	}
	for name, c := range map[string]struct {
		address string
		creds   credentials.TransportCredentials
		node    string
		code    codes.Code
		want    string
	}{
		"another service's node": {s.xdsTLS, showing(t, web), "orders/1", codes.PermissionDenied, `the certificate is of service "web", and may not be served as service "orders"`},
		"a gateway's, its name":  {s.xdsTLS, showing(t, gateway), "web/1", codes.PermissionDenied, `the certificate is of gateway "web", and may not be served as service "web"`},
		"an AuthZ service's":     {s.xdsTLS, showing(t, authz), "web/1", codes.PermissionDenied, "the certificate is of the AuthZ service"},
		"no certificate":         {s.xdsTLS, showing(t, ""), "web/1", codes.Unauthenticated, "none was shown"},
		"another mesh's":         {s.xdsTLS, showing(t, stranger), "web/1", codes.Unavailable, ""},
		"plain text":             {s.xds, insecure.NewCredentials(), "web/1", codes.Unauthenticated, "--xds-tls-listen"},
	} {
		err := openStream(t, c.address, c.node, c.creds)
		if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.want) {
			t.Errorf("%s: it ended with %v, want %s and %q", name, err, c.code, c.want)
		}
	}
	log := s.Log.String()
	for _, want := range []string{`msg=audit audit=true outcome=refused action=stream object=node/orders/1 author=service/web from=127.0.0.1:`, `outcome=done action=joined object=workload/[0-9a-f]{18} author=spiffe://heddle.local/service/web`} {
		if !regexp.MustCompile(want).MatchString(log) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
}

func TestAWorkloadsCertificateDoesNotShowWhatOthersAreSent(t *testing.T) {
	t.Parallel()
	s := startSecure(t)
	for address, creds := range map[string]credentials.TransportCredentials{s.xdsTLS: showing(t, s.joined("web")), s.xds: insecure.NewCredentials()} {
		connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		_, err = statusv3.NewClientStatusDiscoveryServiceClient(connection).FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{})
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestJoinTokensThatAreRefused: used up, revoked, expired, another mesh's, broken;
// and what the one who typed the command is told.
func TestJoinTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	s, other := startSecure(t), startSecure(t)
	used, _ := s.joinToken("web", 0, 1)
	if dir, output, code := s.join("web", used); code != 0 {
		t.Fatalf("the first use: %s", output)
	} else if _, err := os.Stat(filepath.Join(dir, "joining-key.pem")); err == nil {
		t.Error("the key that joined was left behind")
	}
	revoked, id := s.joinToken("web", 0, 1)
	if err := s.client.RevokeToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	expired, _ := s.joinToken("web", time.Second, 1)
	foreign, _ := other.joinToken("web", 0, 1)
	orders, _ := s.joinToken("orders", 0, 1)
	access := filepath.Join(t.TempDir(), "access")
	if err := os.WriteFile(access, []byte(s.token), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // the shortest life that a token can have
	for file, want := range map[string]string{
		used:    "is used up (1 of 1): make another with \"heddle token create --join web\"",
		revoked: "it may have been revoked",
		expired: "expired at 2",
		foreign: "the server's certificate is not of the authority that the join token names",
		orders:  "is the join token another's?",
		access:  "this is not a join token: heddle token create makes one, see its --join flags",
		"/none": "make a join token with \"heddle token create --join web\"",
	} {
		dir, output, code := s.join("web", file)
		if code == 0 || !strings.Contains(output, want) {
			t.Errorf("it ended with %d, want %q in: %s", code, want, output)
		}
		if _, err := os.Stat(filepath.Join(dir, "current")); err == nil {
			t.Error("there is an identity, though it was refused")
		}
	}
}

// TestACertificateThatExpired ends a stay: the server does not take it, and heddle
// says what to do.
func TestACertificateThatExpired(t *testing.T) {
	t.Parallel()
	s := startSecure(t, "--identity-lifetime", "1s")
	s.declare(service("web", mesh.HTTP))
	dir := s.joined("web")
	path := heddle.Path(t)
	heddletest.Eventually(t, "the certificate to expire", func() error {
		if err := openStream(t, s.xdsTLS, "web/1", showing(t, dir)); status.Code(err) != codes.Unavailable {
			return errors.New("it is served, or ends otherwise: " + status.Convert(err).Message())
		}
		return nil
	})
	for _, command := range [][]string{{"identity", "--once"}, {"bootstrap"}, {"proxy", "--envoy", path}} {
		output, code := run(t, path, append(command, "--service", "web", "--identity-dir", dir, "--server", s.restTLS)...)
		if code == 0 || !strings.Contains(output, "expired at 2") || !strings.Contains(output, "heddle token create --join web") {
			t.Errorf("heddle %s ended with %d: %s", command[0], code, output)
		}
	}
	again, _ := s.joinToken("web", 0, 1)
	if output, code := run(t, path, "identity", "--once", "--service", "web", "--identity-dir", dir, "--join-token-file", again, "--server", s.restTLS); code != 0 {
		t.Errorf("joining anew: %s", output)
	}
}
