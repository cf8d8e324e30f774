package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// writeCertificate makes a certificate for a host in dir's cert.pem, with its key
// in key.pem, and gives the pool that trusts it.
func writeCertificate(t testing.TB, dir, host string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"cert.pem": certificate, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

// askTLS makes one HTTPS request, on a connection of its own, which look may look at.
func askTLS(t testing.TB, address, host string, roots *x509.CertPool, look func(tls.ConnectionState)) (answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	look(*response.TLS)
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// Clients get the certificate for the name that they ask for, or else the first.
func TestTheGatewayChoosesACertificateByName(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP))
	s.register("orders", "1", app(t, says("orders here")))
	first, second := route("first", "first.example.com", "orders"), route("second", "second.example.com", "orders")
	s.route(first, second)
	one, two := t.TempDir(), t.TempDir()
	roots := map[string]*x509.CertPool{"first.example.com": writeCertificate(t, one, "first.example.com"), "second.example.com": writeCertificate(t, two, "second.example.com")}
	g := startGateway(t, s, "--tls-cert", filepath.Join(one, "cert.pem"), "--tls-key", filepath.Join(one, "key.pem"), "--tls-cert", filepath.Join(two, "cert.pem"), "--tls-key", filepath.Join(two, "key.pem"), "--http-port", "0")
	for host, pool := range roots {
		heddletest.Eventually(t, host, func() error {
			got, err := askTLS(t, g.https, host, pool, func(tls.ConnectionState) {})
			if err == nil && (got.status != http.StatusOK || got.header.Get("Alt-Svc") != "") {
				err = fmt.Errorf("%+v", got)
			}
			return err
		})
	}
	var served string
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // looks at what is served
	connection, err := dialer.DialContext(t.Context(), "tcp", g.https)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if state, is := connection.(*tls.Conn); is {
		served = state.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if served != "first.example.com" || g.http != "" {
		t.Errorf("without a name %q is served; plain HTTP at %q", served, g.http)
	}
}

// A killed gateway leaves a copy of its private key behind; the next one removes it,
// and leaves alone those of gateways that live.
func TestTheKeyOfAKilledGatewayIsRemoved(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	temporary, dir := t.TempDir(), t.TempDir()
	writeCertificate(t, dir, "shop.example.com")
	folders := func() []string {
		t.Helper()
		all, err := filepath.Glob(filepath.Join(temporary, "heddle-proxy-*", "certificates", "0.json"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	run := func() *gateway {
		return startGatewayIn(t, s, temporary, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"))
	}
	living, killed := run(), run()
	if got := folders(); len(got) != 2 {
		t.Fatalf("the folders of two gateways: %v", got)
	}
	killed.Kill()
	if got := folders(); len(got) != 2 {
		t.Fatalf("after one was killed: %v", got)
	}
	next := run()
	if got := folders(); len(got) != 2 {
		t.Errorf("after another was started: %v", got)
	}
	living.End()
	next.End()
	if got := folders(); len(got) != 0 {
		t.Errorf("after all have ended: %v", got)
	}
}
