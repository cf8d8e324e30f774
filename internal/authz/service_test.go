package authz

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const testDomain = "mesh.test"

// serve serves a service on a free port until the test ends.
func serve(t testing.TB, cfg ServiceConfig, options ...grpc.ServerOption) string {
	t.Helper()
	cfg.TrustDomain = testDomain
	if cfg.Issuer == nil {
		cfg.Issuer = runIssuer(t, IssuerConfig{})
	}
	s, err := NewService(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	server := grpc.NewServer(append(ServerOptions(), options...)...)
	s.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func ask(t testing.TB, address string, creds credentials.TransportCredentials, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return authv3.NewAuthorizationClient(conn).Check(t.Context(), r)
}

func valueOf(list []*corev3.HeaderValueOption, name string) string {
	for _, one := range list {
		if one.GetHeader().GetKey() == name && one.GetAppendAction() == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			return one.GetHeader().GetValue()
		}
	}
	return ""
}

var webCallsOrders = edgesOf{pairs: map[[2]string]bool{{"web", "orders"}: true}}

// The caller is who the certificate says, whatever the request says.
func TestCallerIsWhoTheCertificateSays(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	issuer := runIssuer(t, IssuerConfig{})
	server := &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "spiffe://mesh.test/heddle/server")}, ClientCAs: ours.pool()}
	address := serve(t, ServiceConfig{Issuer: issuer, Edges: webCallsOrders, InsecurePlainCallers: true}, grpc.Creds(Credentials(func() (*tls.Config, error) { return server, nil }, testDomain, nil)))
	with := func(certificates ...tls.Certificate) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{RootCAs: ours.pool(), Certificates: certificates})
	}
	lie := requestFor("web", "orders")
	lie.Attributes.ContextExtensions["caller"] = "spiffe://mesh.test/service/web"

	for name, one := range map[string]struct {
		certificate tls.Certificate
		code        codes.Code // of the answer
		reason      Reason
	}{
		"web":                         {ours.issue(t, "spiffe://mesh.test/service/web"), codes.OK, ""},
		"cart, saying that it is web": {ours.issue(t, "spiffe://mesh.test/service/cart"), codes.PermissionDenied, Undeclared},
		"web of another trust domain": {ours.issue(t, "spiffe://evil.test/service/web"), codes.Unauthenticated, NoIdentity},
		"web's name and another":      {ours.issue(t, "spiffe://mesh.test/service/web", "spiffe://mesh.test/service/cart"), codes.Unauthenticated, NoIdentity},
		"no SPIFFE ID":                {ours.issue(t), codes.Unauthenticated, NoIdentity},
		"a URL":                       {ours.issue(t, "https://mesh.test/service/web"), codes.Unauthenticated, NoIdentity},
		"the control plane":           {ours.issue(t, "spiffe://mesh.test/heddle/server"), codes.Unauthenticated, NoIdentity},
		"a path below web's":          {ours.issue(t, "spiffe://mesh.test/service/web/x"), codes.Unauthenticated, NoIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ask(t, address, with(one.certificate), lie)
			if err != nil {
				t.Fatal(err)
			}
			if codes.Code(got.GetStatus().GetCode()) != one.code {
				t.Fatalf("answered %v", got)
			}
			if one.code == codes.OK {
				checked(t, issuer, &Token{Raw: valueOf(got.GetOkResponse().GetHeaders(), TokenHeader), Expires: issuer.cfg.Now().Add(DefaultTokenLife)}, pairOf("web", "orders"))
				return
			}
			var body Refusal
			if err := json.Unmarshal([]byte(got.GetDeniedResponse().GetBody()), &body); err != nil || body.Error != one.reason {
				t.Errorf("the body is %q (%v)", got.GetDeniedResponse().GetBody(), err)
			}
		})
	}
	for name, creds := range map[string]credentials.TransportCredentials{
		"no certificate":               with(),
		"of another authority":         with(theirs.issue(t, "spiffe://mesh.test/service/web")),
		"a connection that is not TLS": insecure.NewCredentials(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := ask(t, address, creds, lie); status.Code(err) != codes.Unavailable {
				t.Errorf("answered %v, %v", got, err)
			}
		})
	}
}

// A caller shows its present certificate now and then, and no request is lost for it.
func TestCallersConnectAnew(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	var handshakes atomic.Int64
	server := &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "spiffe://mesh.test/heddle/server")}, ClientCAs: ours.pool()}
	address := serve(t, ServiceConfig{Edges: webCallsOrders}, Connections(100*time.Millisecond), grpc.Creds(Credentials(func() (*tls.Config, error) {
		handshakes.Add(1)
		return server, nil
	}, testDomain, nil)))
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: ours.pool(), Certificates: []tls.Certificate{ours.issue(t, "spiffe://mesh.test/service/web")},
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, end := authv3.NewAuthorizationClient(conn), time.Now().Add(30*time.Second)
	for handshakes.Load() < 4 {
		if time.Now().After(end) {
			t.Fatalf("%d connections", handshakes.Load())
		}
		if _, err := client.Check(t.Context(), requestFor("web", "orders")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlainConnectionsAreBelievedOnlyWhenToldSo(t *testing.T) {
	t.Parallel()
	strict := serve(t, ServiceConfig{Edges: webCallsOrders})
	got, err := ask(t, strict, insecure.NewCredentials(), requestFor("web", "orders"))
	if err != nil || codes.Code(got.GetStatus().GetCode()) != codes.Unauthenticated || got.GetDeniedResponse().GetStatus().GetCode() != 401 {
		t.Errorf("answered %v, %v", got, err)
	}
	open := serve(t, ServiceConfig{Edges: webCallsOrders, InsecurePlainCallers: true})
	got, err = ask(t, open, insecure.NewCredentials(), requestFor("web", "orders"))
	if err != nil || valueOf(got.GetOkResponse().GetHeaders(), TokenHeader) == "" {
		t.Errorf("answered %v, %v", got, err)
	}
}

func TestTheLadder(t *testing.T) {
	t.Parallel()
	for _, how := range []mesh.Enforcement{mesh.Observe, mesh.Warn, mesh.Deny, ""} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			var logs strings.Builder
			address := serve(t, ServiceConfig{Edges: edgesOf{enforcement: how}, InsecurePlainCallers: true, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
			for range 3 {
				got, err := ask(t, address, insecure.NewCredentials(), requestFor("web", "orders"))
				if err != nil {
					t.Fatal(err)
				}
				ok, no := got.GetOkResponse(), got.GetDeniedResponse()
				if valueOf(ok.GetHeaders(), TokenHeader) != "" {
					t.Error("an undeclared call was given a token")
				}
				switch how {
				case mesh.Observe, mesh.Warn:
					if no != nil || len(ok.GetHeadersToRemove()) != 1 || ok.GetHeadersToRemove()[0] != TokenHeader {
						t.Errorf("answered %v", got)
					}
					if warned := valueOf(ok.GetResponseHeadersToAdd(), WarningHeader) != "" && valueOf(ok.GetHeaders(), WarningHeader) != ""; warned != (how == mesh.Warn) {
						t.Errorf("the warning: %v", got)
					}
				default:
					if no.GetStatus().GetCode() != 403 || !strings.Contains(no.GetBody(), "heddle apply") || !strings.Contains(no.GetBody(), "orders") {
						t.Errorf("answered %v", got)
					}
				}
			}
			if n := strings.Count(logs.String(), "a call is refused"); n != 1 {
				t.Errorf("logged %d times:\n%s", n, logs.String())
			}
		})
	}
}

func TestWhatCannotBeAnsweredIsUnavailable(t *testing.T) {
	t.Parallel()
	address := serve(t, ServiceConfig{Edges: edgesOf{err: mesh.Unavailable(nil, "the mesh is not known yet")}, InsecurePlainCallers: true})
	if got, err := ask(t, address, insecure.NewCredentials(), requestFor("web", "orders")); status.Code(err) != codes.Unavailable {
		t.Errorf("the mesh is not known: %v, %v", got, err)
	}
	issuer := runIssuer(t, IssuerConfig{Keys: NewKeyring(KeyringConfig{Store: Dir(t.TempDir())})})
	address = serve(t, ServiceConfig{Issuer: issuer, Edges: webCallsOrders, InsecurePlainCallers: true})
	if got, err := ask(t, address, insecure.NewCredentials(), requestFor("web", "orders")); status.Code(err) != codes.Unavailable {
		t.Errorf("there is no key: %v, %v", got, err)
	}
}

func TestOddCallees(t *testing.T) {
	t.Parallel()
	address := serve(t, ServiceConfig{Edges: webCallsOrders, InsecurePlainCallers: true})
	for name, callee := range map[string]string{"none": "", "long": strings.Repeat("ä", 10_000), "with a slash": "orders/x", "with a new line": "orders\r\nx: y"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ask(t, address, insecure.NewCredentials(), requestFor("web", callee))
			if err != nil || got.GetDeniedResponse().GetStatus().GetCode() != 403 || len(got.GetDeniedResponse().GetBody()) > 2000 {
				t.Errorf("answered %v, %v", got, err)
			}
		})
	}
}

func FuzzParseCaller(f *testing.F) {
	f.Add("spiffe://mesh.test/service/web")
	f.Add("spiffe://mesh.test/gateway/edge")
	f.Add("spiffe://mesh.test//service/../x")
	f.Fuzz(func(t *testing.T, id string) {
		caller, err := ParseCaller(id, testDomain)
		if err == nil && id != "spiffe://mesh.test/"+string(caller.Kind)+"/"+caller.Name {
			t.Errorf("%q is %+v", id, caller)
		}
	})
}

// TestAConnectionOutlivesItsCertificate: each request is judged by what the
// certificate is worth by then.
func TestAConnectionOutlivesItsCertificate(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	var revoked atomic.Bool
	standing := func(*x509.Certificate) func() error {
		return func() error {
			if revoked.Load() {
				return errors.New("revoked")
			}
			return nil
		}
	}
	server := &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "spiffe://mesh.test/heddle/server")}, ClientCAs: ours.pool()}
	address := serve(t, ServiceConfig{Edges: webCallsOrders}, grpc.Creds(Credentials(func() (*tls.Config, error) { return server, nil }, testDomain, standing)))
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: ours.pool(), Certificates: []tls.Certificate{ours.issue(t, "spiffe://mesh.test/service/web")},
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, want := range []Reason{Allowed, NoIdentity} {
		revoked.Store(want == NoIdentity)
		got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), requestFor("web", "orders"))
		if err != nil || got.GetStatus().GetMessage() != string(want) {
			t.Errorf("%v, %v; want %q", got, err, want)
		}
	}
	for ends, want := range map[time.Duration]bool{time.Minute: true, -time.Second: false} {
		p := proven{caller: Caller{Name: "web"}, ends: time.Now().Add(ends)}
		if got, err := p.now(); (err == nil) != want || want && got.Name != "web" {
			t.Errorf("a certificate that ends in %s: %+v, %v", ends, got, err)
		}
	}
}
