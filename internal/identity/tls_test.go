package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// meet has a client and a server shake hands, and gives what each made of it.
func meet(t *testing.T, server, client *tls.Config) (seen tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	near, far := net.Pipe()
	deadline := time.Now().Add(5 * time.Second)
	_ = near.SetDeadline(deadline)
	_ = far.SetDeadline(deadline)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer near.Close()
		connection := tls.Server(near, server)
		if serverErr = connection.Handshake(); serverErr == nil {
			_, serverErr = connection.Write([]byte("x"))
		}
		seen = connection.ConnectionState()
	}()
	connection := tls.Client(far, client)
	if clientErr = connection.Handshake(); clientErr == nil {
		_, clientErr = connection.Read(make([]byte, 1)) // with TLS 1.3, a refusal comes only now
	}
	far.Close()
	<-done
	return seen, serverErr, clientErr
}

// certified gives a workload's certificate.
func certified(t *testing.T, a *Authority, service string) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	issued, err := a.Issue(csr(t, key, x509.CertificateRequest{}), workloadOf(mesh.ServiceName(service)))
	if err != nil {
		t.Fatal(err)
	}
	leaf := first(t, issued.Chain)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func TestWorkloadAndServerMeet(t *testing.T) {
	a := own(t, Config{Hosts: []string{"mesh.example.org", "10.0.0.1"}})
	web := certified(t, a, "web")
	client := ClientTLS(func() *tls.Certificate { return web }, func() []*x509.Certificate { return a.roots })
	seen, serverErr, clientErr := meet(t, a.ServerTLS(), client)
	if serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	if service, err := a.Client(&seen); err != nil || service.Identity != workloadOf("web") {
		t.Errorf("%q, %v", service, err)
	}
	seen, serverErr, clientErr = meet(t, a.ServerTLS(), PinnedTLS(a.Pin()))
	if serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	if service, err := a.Client(&seen); err != nil || service.Identity != (mesh.Identity{}) {
		t.Errorf("without a certificate: %q, %v", service, err)
	}
	// And clients that know servers by name.
	for _, name := range []string{"mesh.example.org", "10.0.0.1"} {
		if _, _, err := meet(t, a.ServerTLS(), &tls.Config{RootCAs: pool(a.roots), ServerName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServersThatAreNotTheControlPlane(t *testing.T) {
	a, other := own(t, Config{}), own(t, Config{TrustDomain: "other.org"})
	web := certified(t, a, "web")
	known := ClientTLS(func() *tls.Certificate { return web }, func() []*x509.Certificate { return a.roots })
	workload := &tls.Config{Certificates: []tls.Certificate{{
		Certificate: [][]byte{web.Leaf.Raw, a.root().Raw}, PrivateKey: web.PrivateKey,
	}}}
	// The other's server shows the pinned root beside its own certificate.
	borrowed, err := other.ownCertificate()
	if err != nil {
		t.Fatal(err)
	}
	mixed := *borrowed
	mixed.Certificate = append([][]byte{borrowed.Certificate[0]}, a.root().Raw)
	for name, c := range map[string]struct {
		server, client *tls.Config
		want           string
	}{
		"another's, pinned":             {other.ServerTLS(), PinnedTLS(a.Pin()), "is not of the authority that the join token names"},
		"another's, known":              {other.ServerTLS(), known, "cannot be trusted"},
		"another's with our root":       {&tls.Config{Certificates: []tls.Certificate{mixed}}, PinnedTLS(a.Pin()), "cannot be trusted"},
		"a workload of the mesh":        {workload, known, "is not the identity of the control plane"},
		"a workload of the mesh pinned": {workload, PinnedTLS(a.Pin()), "is not the identity of the control plane"},
	} {
		_, _, err := meet(t, c.server, c.client)
		if !errors.As(err, new(*UntrustedError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClientsThatProveNothing(t *testing.T) {
	var late atomic.Int64
	a := own(t, Config{Now: func() time.Time { return time.Now().Add(time.Duration(late.Load())) }})
	other := own(t, Config{})
	trusting := func(certificate *tls.Certificate) *tls.Config {
		return ClientTLS(func() *tls.Certificate { return certificate }, func() []*x509.Certificate { return a.roots })
	}
	server, err := a.ownCertificate()
	if err != nil {
		t.Fatal(err)
	}
	web := certified(t, a, "web")
	seen, _, _ := meet(t, a.ServerTLS(), trusting(server))
	if service, err := a.Client(&seen); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("the server's own certificate is taken for %q, %v", service, err)
	}
	if _, err, _ := meet(t, a.ServerTLS(), trusting(certified(t, other, "web"))); err == nil {
		t.Error("another authority's certificate was taken")
	}
	seen, _, _ = meet(t, a.ServerTLS(), trusting(web))
	late.Store(int64(2 * time.Hour))
	if service, err := a.Client(&seen); mesh.KindOf(err) != mesh.KindDenied || service.Identity != (mesh.Identity{}) {
		t.Errorf("on a connection that outlived it, the certificate is taken for %q, %v", service, err)
	}
	if _, err, _ := meet(t, a.ServerTLS(), trusting(web)); err == nil {
		t.Error("an expired certificate was taken")
	}
}

func TestTheServersCertificateIsReplacedAtHalfItsLife(t *testing.T) {
	var late atomic.Int64
	a := own(t, Config{Lifetime: time.Hour, Now: func() time.Time { return time.Now().Add(time.Duration(late.Load())) }})
	get := func() string {
		one, err := a.ownCertificate()
		if err != nil {
			t.Fatal(err)
		}
		return string(one.Certificate[0])
	}
	before := get()
	late.Store(int64(29 * time.Minute))
	if get() != before {
		t.Error("it was replaced before")
	}
	late.Store(int64(31 * time.Minute))
	if get() == before {
		t.Error("it was not replaced")
	}
}

func TestJoinTokensAreTakenApart(t *testing.T) {
	a := own(t, Config{})
	secret, pin, err := ParseJoinToken(FormatJoinToken("hdj_abc_def", a.Pin()))
	if err != nil || secret != "hdj_abc_def" || pin != a.Pin() {
		t.Errorf("%s, %s, %v", secret, pin, err)
	}
	for _, text := range []string{"", "hdl_abc_def", "hdj_abc_def", "hdj_abc_" + a.Pin(), "hdj_abc_def_" + a.Pin()[1:], "hdj_a_b_c_" + a.Pin()} {
		if _, _, err := ParseJoinToken(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
