package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server"
)

// secure is a world that is served over TLS too.
type secure struct {
	*world
	authority *identity.Authority
	address   string // https://…
}

func newSecure(t *testing.T, change ...func(*server.Config)) *secure {
	t.Helper()
	files := identity.In(t.TempDir())
	if err := identity.Create(identity.Config{}, files); err != nil {
		t.Fatal(err)
	}
	authority, err := identity.Load(identity.Config{}, files)
	if err != nil {
		t.Fatal(err)
	}
	authority.Revocations().Apply(true, nil)
	w := newWorld(t, append(change, func(cfg *server.Config) { cfg.Identities = authority })...)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving := w.server.HTTPServer()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serving.Serve(tls.NewListener(plain, authority.ServerTLS("http/1.1")))
	}()
	t.Cleanup(func() { _ = serving.Close(); <-done })
	return &secure{w, authority, "https://" + plain.Addr().String()}
}

// as gives a client with a token and a certificate, or without either.
func (s *secure) as(token string, certificate *tls.Certificate) *client.Client {
	s.t.Helper()
	meeting := identity.PinnedTLS(s.authority.Pin())
	if certificate != nil {
		meeting.Certificates = []tls.Certificate{*certificate}
	}
	c, err := client.New(client.Config{Address: s.address, Token: token, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: meeting, DisableKeepAlives: true}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func newRequest(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// of is the identity of a service's workloads.
func of(service mesh.ServiceName) mesh.Identity {
	return mesh.Identity{Kind: mesh.ServiceIdentity, Name: service}
}

// join gets a certificate with a join token.
func (s *secure) join(as mesh.Identity) *tls.Certificate {
	s.t.Helper()
	_, secret, err := s.client(s.admin).CreateJoinToken(s.t.Context(), as, "", 0, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	key, csr := newRequest(s.t)
	got, err := s.as(secret, nil).IssueIdentity(s.t.Context(), csr)
	if err != nil {
		s.t.Fatal(err)
	}
	return pair(s.t, got, key)
}

func pair(t *testing.T, got client.Certificate, key *ecdsa.PrivateKey) *tls.Certificate {
	t.Helper()
	chain, err := identity.ParseCertificates([]byte(got.Chain))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{chain[0].Raw}, PrivateKey: key, Leaf: chain[0]}
}

func TestAWorkloadJoinsAndRenews(t *testing.T) {
	s := newSecure(t)
	web := s.join(of("web"))
	key, csr := newRequest(t)
	again, err := s.as("", web).IssueIdentity(t.Context(), csr)
	if err != nil || again.ID != "spiffe://heddle.local/service/web" || again.Bundle != s.authority.Bundle() || time.Until(again.ExpiresAt) < 59*time.Minute {
		t.Fatalf("%+v, %v", again, err)
	}
	// Its certificate is the right to its instances, and to nothing else.
	c := s.as("", pair(t, again, key))
	ctx := t.Context()
	mine := mesh.Instance{Service: "web", ID: "w-1", Address: "10.0.0.1", Port: 80}
	registered, err := c.Register(ctx, []mesh.Instance{mine}, 0)
	if err != nil || registered[0].Meta.Author != "spiffe://heddle.local/service/web" {
		t.Fatalf("%+v, %v", registered, err)
	}
	if _, err := c.Renew(ctx, mine.Key(), registered[0].Epoch); err != nil {
		t.Error(err)
	}
	others := mesh.Instance{Service: "orders", ID: "o-1", Address: "10.0.0.1", Port: 80}
	for name, try := range map[string]func() error{
		"another's instance":  func() error { _, err := c.Register(ctx, []mesh.Instance{others}, 0); return err },
		"its own declaration": func() error { _, err := c.PutService(ctx, service("web")); return err },
		"a token":             func() error { _, _, err := c.CreateJoinToken(ctx, of("web"), "", 0, 1); return err },
		"the tokens":          func() error { _, err := c.Tokens(ctx); return err },
		"the runtime":         func() error { _, err := c.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{}}); return err },
	} {
		if err := try(); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Deregister(ctx, mine.Key(), registered[0].Epoch); err != nil {
		t.Error(err)
	}
}

func TestIdentitiesThatAreRefused(t *testing.T) {
	s := newSecure(t)
	ctx := t.Context()
	_, csr := newRequest(t)
	_, secret, err := s.client(s.admin).CreateJoinToken(ctx, of("web"), "", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.as("", nil).IssueIdentity(ctx, csr); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("with nothing: %v", err)
	}
	if _, err := s.as(s.admin, nil).IssueIdentity(ctx, csr); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("with an access token: %v", err)
	}
	if _, err := s.client(secret).IssueIdentity(ctx, csr); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "over TLS only") {
		t.Errorf("in plain text: %v", err)
	}
	for _, bad := range []string{"", "x", csr + csr, strings.Repeat("a", 20_000)} {
		if _, err := s.as(secret, nil).IssueIdentity(ctx, bad); mesh.KindOf(err) != mesh.KindInvalid {
			t.Errorf("a bad request: %v", err)
		}
	}
	// A token is no right to write, and what was refused did not use it up.
	if _, err := s.as(secret, nil).PutService(ctx, service("web")); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("a join token writes: %v", err)
	}
	if _, err := s.as(secret, nil).IssueIdentity(ctx, csr); err != nil {
		t.Error(err)
	}
	_, second := newRequest(t)
	if _, err := s.as(secret, nil).IssueIdentity(ctx, second); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "used up") {
		t.Errorf("used twice: %v", err)
	}
	for body, want := range map[string]string{
		`{"kind":"join"}`: "service", `{"kind":"join","service":"web","gateway":"web"}`: "service", `{"kind":"join","authz":true,"gateway":"edge"}`: "service",
		`{"kind":"join","gateway":"Edge"}`: "gateway", `{"gateway":"edge"}`: "kind", `{"authz":true}`: "kind",
		`{"kind":"root","service":"web"}`: "kind", `{"service":"web","uses":2}`: "kind",
		`{"kind":"join","service":"web","ttl":"-1s"}`: "ttl", `{"kind":"join","service":"web","uses":-1}`: "uses", `{"kind":"join","service":"web","ttl":"200h"}`: "ttl",
	} {
		if p := s.write("POST", "/api/v1/tokens", body).problem(t); p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Path != want {
			t.Errorf("%s: %+v", body, p)
		}
	}
}

// A gateway's certificate and an AuthZ service's are renewed as what they are, and
// are the right to write nothing, also not what a service of the same name has.
func TestOtherIdentitiesMayWriteNothing(t *testing.T) {
	s := newSecure(t)
	ctx := t.Context()
	for id, as := range map[string]mesh.Identity{
		"spiffe://heddle.local/gateway/web":  {Kind: mesh.GatewayIdentity, Name: "web"},
		"spiffe://heddle.local/heddle/authz": {Kind: mesh.AuthzIdentity},
	} {
		first := s.join(as)
		key, csr := newRequest(t)
		again, err := s.as("", first).IssueIdentity(ctx, csr)
		if err != nil || again.ID != id {
			t.Fatalf("%+v, %v", again, err)
		}
		c := s.as("", pair(t, again, key))
		instance := mesh.Instance{Service: "web", ID: "w-1", Address: "10.0.0.1", Port: 80}
		for name, try := range map[string]func() error{
			"register":  func() error { _, err := c.Register(ctx, []mesh.Instance{instance}, 0); return err },
			"a service": func() error { _, err := c.PutService(ctx, service("web")); return err },
			"a route": func() error {
				_, err := c.PutRoute(ctx, mesh.Route{Name: "r", Owner: "o", Hosts: []string{"a.example.com"}})
				return err
			},
			"a token": func() error { _, _, err := c.CreateJoinToken(ctx, as, "", 0, 1); return err },
			"runtime": func() error { _, err := c.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{}}); return err },
		} {
			if err := try(); mesh.KindOf(err) != mesh.KindDenied {
				t.Errorf("%s, %s: %v", id, name, err)
			}
		}
	}
	tokens, err := s.client(s.admin).Tokens(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var gateways, authorizers int
	for _, one := range tokens {
		if one.Gateway == "web" && one.Service == "" {
			gateways++
		}
		if one.Authz {
			authorizers++
		}
	}
	if gateways != 1 || authorizers != 1 {
		t.Errorf("the tokens are listed as %+v", tokens)
	}
}

// Revocations are for administrators; a certificate that is revoked is refused.
func TestCertificatesAreRevoked(t *testing.T) {
	s := newSecure(t)
	ctx := t.Context()
	web := s.join(of("web"))
	admin := s.client(s.admin)
	_, limited, err := admin.CreateToken(ctx, "web", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client.Client{"nobody": s.client(""), "a service's token": s.client(limited), "its own certificate": s.as("", web)} {
		if _, err := c.Revoke(ctx, "service/web"); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%s revokes: %v", name, err)
		}
		if _, err := c.Revocations(ctx); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%s lists: %v", name, err)
		}
		if err := c.Unrevoke(ctx, "service/web"); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%s takes back: %v", name, err)
		}
	}
	for _, body := range []string{`{}`, `{"of":"web"}`, `{"of":"heddle/server"}`, `{"of":"workload/0"}`, `{"of":7}`} {
		if p := s.write("POST", "/api/v1/revocations", body).problem(t); p.Status != 422 && p.Status != 400 {
			t.Errorf("%s: %+v", body, p)
		}
	}
	made, err := admin.Revoke(ctx, "service/web")
	if err != nil || made.Of != "service/web" || made.Meta.Author == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	if list, err := admin.Revocations(ctx); err != nil || len(list) != 1 || list[0].Of != made.Of || !list[0].At.Equal(made.At) {
		t.Errorf("%+v, %v", list, err)
	}
	s.authority.Revocations().Apply(true, []mesh.Change{{Revocation: &made}})
	_, csr := newRequest(t)
	c := s.as("", web)
	if _, err := c.IssueIdentity(ctx, csr); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "are revoked") {
		t.Errorf("it renews: %v", err)
	}
	if _, err := c.Register(ctx, []mesh.Instance{{Service: "web", ID: "w-1", Address: "10.0.0.1", Port: 80}}, 0); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("it registers: %v", err)
	}
	if err := admin.Unrevoke(ctx, "service/web"); err != nil {
		t.Error(err)
	}
	if err := admin.Unrevoke(ctx, "service/web"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("taken back twice: %v", err)
	}
}

func TestAServerWithoutIdentities(t *testing.T) {
	w := newWorld(t)
	_, csr := newRequest(t)
	if _, err := w.client(w.admin).IssueIdentity(context.WithoutCancel(t.Context()), csr); mesh.KindOf(err) != mesh.KindNotFound || !strings.Contains(err.Error(), "--tls-listen") {
		t.Errorf("%v", err)
	}
	body, _ := json.Marshal(map[string]string{"kind": "join", "service": "web"})
	if p := w.write("POST", "/api/v1/tokens", string(body)).problem(t); p.Status != 404 {
		t.Errorf("%+v", p)
	}
}
