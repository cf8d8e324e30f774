package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestTheGatewayServesHTTP3: a QUIC client finds the port in an answer over TCP,
// and its requests meet the same routes and limits.
func TestTheGatewayServesHTTP3(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP))
	s.register("orders", "1", app(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "orders %s %s %d %s", r.Method, r.URL.Path, len(body), r.Header.Get("X-Heddle-Token"))
	}))
	s.route(route("shop", "shop.example.com", "orders"))
	dir := t.TempDir()
	roots := writeCertificate(t, dir, "shop.example.com")
	g := startGateway(t, s, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--http3", "--public-port", "443")

	heddletest.Eventually(t, "the answer over TCP to tell of HTTP/3", func() error {
		got, err := askTLS(t, g.https, "shop.example.com", roots, func(tls.ConnectionState) {})
		if want := `h3=":443"; ma=86400`; err == nil && got.header.Get("Alt-Svc") != want {
			err = fmt.Errorf("%d alt-svc %q, want %q", got.status, got.header.Get("Alt-Svc"), want)
		}
		return err
	})
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, g.https, t, q)
		},
	}
	t.Cleanup(func() { _ = transport.Close() })
	client := http.Client{Transport: transport, Timeout: 20 * time.Second}
	for path, want := range map[string]string{"/a": "200 orders POST /a 100000 ", "/x/%2e%2e/b": "200 orders POST /b 100000 ", "/;c": "400 "} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://shop.example.com"+path, strings.NewReader(strings.Repeat("x", 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Heddle-Token", "forged")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if got := fmt.Sprintf("%d %s", response.StatusCode, body); err != nil || response.ProtoMajor != 3 || !strings.HasPrefix(got, want) || strings.Contains(got, "forged") {
			t.Errorf("%s: %s %q %v", path, response.Proto, got, err)
		}
	}
}
