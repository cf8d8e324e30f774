package test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// gateway is a `heddle proxy --gateway` process.
type gateway struct {
	*heddletest.Process
	t testing.TB

	http, https, admin string
	pid                int // of its first Envoy
}

// startGateway runs a gateway that is called edge on free ports.
func startGateway(t testing.TB, s *server, arguments ...string) *gateway {
	t.Helper()
	return startGatewayIn(t, s, t.TempDir(), arguments...)
}

// startGatewayIn is startGateway with a folder for temporary files.
func startGatewayIn(t testing.TB, s *server, temporary string, arguments ...string) *gateway {
	t.Helper()
	rest, xds := s.rest, s.xds
	if slices.Contains(arguments, "--identity-dir") {
		rest, xds = s.restTLS, s.xdsTLS
	}
	port := heddletest.FreePort(t)
	g := &gateway{t: t, Process: heddle.Process(t, append([]string{
		"proxy", "--gateway", "edge", "--instance", fmt.Sprint("edge-", port), "--envoy", envoytest.Path(t),
		"--server", rest, "--xds", xds, "--listen-address", "127.0.0.1",
		"--http-port", fmt.Sprint(port), "--https-port", fmt.Sprint(heddletest.FreePort(t)),
	}, arguments...)...)}
	g.Environment = []string{"TMPDIR=" + temporary}
	g.Run()
	var said struct {
		HTTP, HTTPS, Admin string
		PID                int
	}
	g.AwaitReady(&said)
	g.http, g.https, g.admin, g.pid = said.HTTP, said.HTTPS, said.Admin, said.PID
	return g
}

// wants waits until a plain request gets a status and a body that holds text.
func (g *gateway) wants(host, path string, status int, text string, change ...func(*http.Request)) answer {
	g.t.Helper()
	return (&sidecar{outbound: g.http}).wants(g.t, host, path, status, text, change...)
}

func (s *server) route(routes ...mesh.Route) {
	s.t.Helper()
	for _, r := range routes {
		if _, err := s.client.PutRoute(s.t.Context(), r); err != nil {
			s.t.Fatal(err)
		}
	}
}

func route(name, host string, backends ...string) mesh.Route {
	r := mesh.Route{Name: mesh.RouteName(name), Owner: "team-test", Hosts: []string{host}}
	for _, one := range backends {
		r.Backends = append(r.Backends, mesh.WeightedBackend{Service: mesh.ServiceName(one), Weight: 1})
	}
	return r
}

// TestRequestsCrossTheGateway: a client → a gateway → orders' Envoy → the application.
func TestRequestsCrossTheGateway(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("other", mesh.HTTP))
	g := startGateway(t, s)
	g.wants("shop.example.com", "/", http.StatusNotFound, "no route has this host")
	s.route(route("shop", "shop.example.com", "orders"))
	g.wants("shop.example.com", "/", http.StatusServiceUnavailable, "no instance behind this route")
	orders := startSidecar(t, s, "orders", "orders-1", app(t, says("orders here")), "delta")
	s.register("orders", "orders-1", orders.inbound)
	g.wants("shop.example.com", "/", http.StatusOK, "orders here")
	g.wants("SHOP.example.com.:80", "/", http.StatusOK, "orders here")

	s.route(route("later", "later.example.com", "later"))
	g.wants("later.example.com", "/", http.StatusServiceUnavailable, `nothing that can be called is behind route "later" yet`)
	heddletest.Eventually(t, "the problem to be told", func() error {
		path := heddle.Path(t)
		out, _ := run(t, path, "status", "--server", s.rest)
		if !bytes.Contains([]byte(out), []byte(`route/later`)) || !bytes.Contains([]byte(out), []byte(`no service "later" is declared yet`)) {
			return fmt.Errorf("status says:\n%s", out)
		}
		return nil
	})
	s.declare(service("later", mesh.HTTP))
	s.register("later", "1", app(t, says("later here")))
	g.wants("later.example.com", "/", http.StatusOK, "later here")
}

func TestWebSocketsAndGRPCCrossTheGateway(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("chat", mesh.HTTP), service("stock", mesh.GRPC))
	s.register("chat", "1", app(t, echoUpgrade))
	s.register("stock", "1", counter(t, "one"))
	s.route(route("chat", "chat.example.com", "chat"), route("stock", "stock.example.com", "stock"))
	g := startGateway(t, s)
	heddletest.Eventually(t, "a WebSocket to echo", func() error {
		return echoes(g.http, "GET /ws HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	})
	connection, err := grpc.NewClient(g.http, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("stock.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	heddletest.Eventually(t, "gRPC to stream", func() error {
		stream, err := connection.NewStream(t.Context(), &countStream, countMethod)
		if err != nil {
			return err
		}
		if err := errors.Join(stream.SendMsg(wrapperspb.Int64(3)), stream.CloseSend()); err != nil {
			return err
		}
		for range 3 {
			var name wrapperspb.StringValue
			if err := stream.RecvMsg(&name); err != nil || name.GetValue() != "one" {
				return fmt.Errorf("got %q, %w", name.GetValue(), err)
			}
		}
		return nil
	})
}

// TestTheGatewayOutlivesItsEnvoyAndTheServer: an Envoy that is killed is started
// again, on the same ports and with the same certificate, and a server that is
// away takes nothing down.
func TestTheGatewayOutlivesItsEnvoyAndTheServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP))
	s.register("orders", "1", app(t, says("orders here")))
	plain := route("plain", "shop.example.com", "orders")
	plain.PlainHTTP = true
	s.route(plain)
	dir := t.TempDir()
	roots := writeCertificate(t, dir, "shop.example.com")
	g := startGateway(t, s, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--http3")
	serves := func() {
		t.Helper()
		g.wants("shop.example.com", "/", http.StatusOK, "orders here")
		heddletest.Eventually(t, "HTTPS", func() error {
			_, err := askTLS(t, g.https, "shop.example.com", roots, func(tls.ConnectionState) {})
			return err
		})
	}
	serves()
	if err := syscall.Kill(g.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	serves()
	s.Kill()
	serves()
	s.restart()
	moved := plain
	moved.Hosts = []string{"moved.example.com"}
	s.route(moved)
	g.wants("moved.example.com", "/", http.StatusOK, "orders here")
}

// TestTheGatewayServesHTTPS with a certificate that is renewed while it runs.
func TestTheGatewayServesHTTPS(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP))
	s.register("orders", "1", app(t, says("orders here")))
	plain := route("plain", "plain.example.com", "orders")
	plain.PlainHTTP = true
	s.route(route("shop", "shop.example.com", "orders"), plain)
	dir := t.TempDir()
	first := writeCertificate(t, dir, "shop.example.com")
	g := startGateway(t, s, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--http3")

	serial := func(roots *x509.CertPool) (string, answer, error) {
		var serial string
		got, err := askTLS(t, g.https, "shop.example.com", roots, func(state tls.ConnectionState) { serial = state.PeerCertificates[0].SerialNumber.String() })
		return serial, got, err
	}
	var before string
	heddletest.Eventually(t, "HTTPS", func() (err error) {
		var got answer
		before, got, err = serial(first)
		if err == nil && (got.status != 200 || got.body != "orders here") {
			err = fmt.Errorf("%+v", got)
		}
		return err
	})
	moved := g.wants("shop.example.com:1234", "/path?q=1", http.StatusPermanentRedirect, "")
	if want := "https://shop.example.com:" + portOf(g.https) + "/path?q=1"; moved.header.Get("Location") != want {
		t.Errorf("plain HTTP is sent to %q, want %q", moved.header.Get("Location"), want)
	}
	g.wants("plain.example.com", "/", http.StatusOK, "orders here")

	second := writeCertificate(t, dir, "shop.example.com")
	heddletest.Eventually(t, "the renewed certificate", func() error {
		now, _, err := serial(second)
		if err == nil && now == before {
			err = fmt.Errorf("the old one is served")
		}
		return err
	})
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	heddletest.Eventually(t, "the broken certificate to be told", func() error {
		if !bytes.Contains([]byte(g.Log.String()), []byte("the last good one stays")) {
			return fmt.Errorf("the log says:\n%s", g.Log.String())
		}
		return nil
	})
	if _, _, err := serial(second); err != nil {
		t.Errorf("a broken certificate was served: %v", err)
	}
}
