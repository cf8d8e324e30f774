package test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// startMesh runs sidecars with identities for services that are declared already,
// each before an application that tells which token came with a request.
func startMesh(t *testing.T, s *server, names ...string) map[string]*workload {
	t.Helper()
	list, byName := workloads{}, map[string]*workload{}
	for _, name := range names {
		w := newSecureWorkload(t, s, name, name+"-1", app(t, tellsToken(name)))
		list, byName[name] = append(list, w), w
	}
	t.Cleanup(list.leave)
	list.start(t)
	return byName
}

// tellsToken answers with its own name and the token of the request.
func tellsToken(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" token="+r.Header.Get("x-heddle-token"))
	}
}

func (w *workload) side() *sidecar {
	return &sidecar{outbound: w.outbound()}
}

func (w *workload) inbound() string { return "127.0.0.1:" + w.argument("--inbound-port") }

// certificate is the one that the workload proves itself with.
func (w *workload) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	current := filepath.Join(w.argument("--identity-dir"), "current")
	pair, err := tls.LoadX509KeyPair(filepath.Join(current, "cert.pem"), filepath.Join(current, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// directly asks an inbound listener, past the caller's own sidecar, with the
// certificates given. The server is not verified: this is an attacker.
func directly(t *testing.T, address, path string, certificates []tls.Certificate, header http.Header) (answer, error) {
	t.Helper()
	return directlyBy(t, http.MethodGet, address, path, certificates, header)
}

func directlyBy(t *testing.T, method, address, path string, certificates []tls.Certificate, header http.Header) (answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "https://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	settings := &tls.Config{InsecureSkipVerify: true, Certificates: certificates, NextProtos: []string{"heddle", "http/1.1"}} //nolint:gosec // see above
	client := http.Client{Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// TestStrictMutualTLS: nothing but mutual TLS is taken, and only from those who
// have declared the service.
func TestStrictMutualTLS(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t, "--mtls", "strict")
	orders := service("orders", mesh.HTTP, "ledger")
	orders.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckHTTP, Path: "/healthz", Interval: mesh.Duration(200 * time.Millisecond)}
	s.declare(service("ledger", mesh.TCP), orders, service("web", mesh.HTTP, "orders"), service("other", mesh.HTTP))
	all := startMesh(t, s, "web", "orders", "other", "ledger")
	web, other := all["web"], all["other"]
	// There is no AuthZ service, so nobody checks a token and none gets through.
	forged := func(r *http.Request) { r.Header.Set("x-heddle-token", "forged") }
	if got := web.side().wants(t, "orders", "/", http.StatusOK, "orders token=", forged); strings.Contains(got.body, "forged") {
		t.Errorf("a token that nobody has checked: %s", got.body)
	}

	t.Run("who is refused", func(t *testing.T) {
		if got, err := ask(t, all["orders"].inbound(), "orders", "/"); err == nil {
			t.Errorf("plain text: %d %s", got.status, got.body)
		}
		if got, err := directly(t, all["orders"].inbound(), "/", nil, nil); err == nil {
			t.Errorf("no certificate: %d %s", got.status, got.body)
		}
		another := startSecure(t)
		another.declare(service("web", mesh.HTTP))
		stranger := startMesh(t, another, "web")["web"]
		if got, err := directly(t, all["orders"].inbound(), "/", []tls.Certificate{stranger.certificate(t)}, nil); err == nil {
			t.Errorf("another authority's certificate of the same name: %d %s", got.status, got.body)
		}
		for _, path := range []string{"/", "/healthz"} {
			got, err := directly(t, all["orders"].inbound(), path, []tls.Certificate{other.certificate(t)}, nil)
			if err != nil || got.status != http.StatusForbidden || got.header.Get("x-heddle-reason") != "caller" || !strings.Contains(got.body, `"spiffe://heddle.local/service/other"`) {
				t.Errorf("%s by a service that has not declared it: %+v, %v", path, got, err)
			}
		}
		if got, err := directly(t, all["ledger"].inbound(), "/", []tls.Certificate{other.certificate(t)}, nil); err == nil {
			t.Errorf("TCP by a service that has not declared it: %+v", got)
		}
		if got, err := directly(t, all["ledger"].inbound(), "/", []tls.Certificate{all["orders"].certificate(t)}, nil); err != nil || got.status != http.StatusOK {
			t.Errorf("TCP by a service that has: %+v, %v", got, err)
		}
	})

	t.Run("a new caller changes no listener", func(t *testing.T) {
		changed := func() string {
			return all["orders"].stat(t, "listener_manager.listener_modified") + " " + all["orders"].stat(t, "listener_manager.listener_in_place_updated")
		}
		before := changed()
		s.declare(service("other", mesh.HTTP, "orders"))
		other.side().wants(t, "orders", "/", http.StatusOK, "orders token=")
		s.declare(service("other", mesh.HTTP))
		heddletest.Eventually(t, "the caller to be refused again", func() error {
			got, err := directly(t, all["orders"].inbound(), "/", []tls.Certificate{other.certificate(t)}, nil)
			if err == nil && got.status != http.StatusForbidden {
				err = fmt.Errorf("%d", got.status)
			}
			return err
		})
		if after := changed(); after != before {
			t.Errorf("changes of listeners: %s before, %s after", before, after)
		}
		web.side().wants(t, "orders", "/", http.StatusOK, "orders token=")
	})
}

// TestPermissiveMutualTLS: callers without an identity go on in plain text, those
// with one use it, and nobody can make up a token.
func TestPermissiveMutualTLS(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t, "--tls-listen", "127.0.0.1:0", "--xds-tls-listen", "127.0.0.1:0")
	s.declare(service("orders", mesh.HTTP), service("ledger", mesh.TCP), service("web", mesh.HTTP, "orders", "ledger", "old"), service("old", mesh.HTTP))
	all := startMesh(t, s, "web", "orders", "ledger")
	plain := startSidecar(t, s, "web", "web-plain", "", "", "ledger")
	old := newWorkload(t, s, "old", "old-1", app(t, tellsToken("old")))
	olds := workloads{old}
	t.Cleanup(olds.leave)
	olds.start(t)

	forged := func(r *http.Request) { r.Header.Set("x-heddle-token", "forged") }
	plain.wants(t, "orders", "/", http.StatusOK, "orders token=")
	if got, err := plain.call(t, "orders", "/", forged); err != nil || strings.Contains(got.body, "forged") {
		t.Errorf("a token in plain text: %+v, %v", got, err)
	}
	before := all["orders"].stat(t, "listener.*.ssl.handshake")
	all["web"].side().wants(t, "orders", "/", http.StatusOK, "orders token=")
	if after := all["orders"].stat(t, "listener.*.ssl.handshake"); after == before {
		t.Errorf("handshakes: %s before and %s after a call of a sidecar with an identity", before, after)
	}
	// An instance whose sidecar has no identity yet is called in plain text.
	all["web"].side().wants(t, "old", "/", http.StatusOK, "old token=")
	// A TCP service whose server speaks first can be called in plain text too, if later.
	if got, err := ask(t, plain.ports["ledger"], "ledger", "/"); err != nil || got.status != http.StatusOK {
		t.Errorf("TCP in plain text: %+v, %v", got, err)
	}

	// Its owner makes one service strict.
	strict := service("orders", mesh.HTTP)
	strict.Access.MTLS = mesh.Strict
	s.declare(strict)
	heddletest.Eventually(t, "plain text to be refused", func() error {
		if got, err := ask(t, all["orders"].inbound(), "orders", "/"); err == nil {
			return fmt.Errorf("answered %d", got.status)
		}
		return nil
	})
	all["web"].side().wants(t, "orders", "/", http.StatusOK, "orders token=")
	heddletest.Eventually(t, "the problem to be told", func() error {
		problems, err := s.client.Problems(t.Context())
		if err != nil {
			return err
		}
		for _, p := range problems {
			if strings.Contains(p.Message, `has no identity`) && p.Object == "service/web" {
				return nil
			}
		}
		return fmt.Errorf("%+v", problems)
	})
}

// TestAServerThatSpeaksFirst is reached in plain text through a permissive sidecar,
// which waits only briefly for the first byte of a caller.
func TestAServerThatSpeaksFirst(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t, "--tls-listen", "127.0.0.1:0", "--xds-tls-listen", "127.0.0.1:0")
	s.declare(service("mail", mesh.TCP))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = io.WriteString(c, "220 ready\n")
				_ = c.Close()
			}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	mail := newSecureWorkload(t, s, "mail", "mail-1", listener.Addr().String())
	all := workloads{mail}
	t.Cleanup(all.leave)
	all.start(t)
	c, err := net.DialTimeout("tcp", mail.inbound(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if got, err := io.ReadAll(c); err != nil || string(got) != "220 ready\n" {
		t.Errorf("%q, %v", got, err)
	}
}
