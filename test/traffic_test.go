package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestRequestsCrossTwoSidecars: web's Envoy → orders' Envoy → the application,
// by delta and by state of the world.
func TestRequestsCrossTwoSidecars(t *testing.T) {
	t.Parallel()
	for _, mode := range []proxy.XDSMode{proxy.Delta, proxy.SotW} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
			orders := startSidecar(t, s, "orders", "orders-1", app(t, says("orders here")), mode)
			web := startSidecar(t, s, "web", "web-1", "", mode)
			s.register("orders", "orders-1", orders.inbound)
			web.wants(t, "orders", "/", http.StatusOK, "orders here")
			web.wants(t, "orders.mesh:80", "/", http.StatusOK, "orders here")

			got := web.wants(t, "reviews", "/", http.StatusForbidden, `"reviews"`)
			if !strings.Contains(got.body, `"web"`) || got.header.Get("X-Heddle-Reason") != "undeclared" {
				t.Errorf("an undeclared call got %v %s", got.header, got.body)
			}
			s.declare(service("web", mesh.HTTP, "orders", "reviews"))
			got = web.wants(t, "reviews", "/", http.StatusServiceUnavailable, "reviews")
			if got.header.Get("X-Heddle-Reason") != "pending" {
				t.Errorf("a pending call got %v %s", got.header, got.body)
			}
			s.declare(service("reviews", mesh.HTTP))
			s.register("reviews", "r1", app(t, says("reviews here")))
			web.wants(t, "reviews", "/", http.StatusOK, "reviews here")
		})
	}
}

func TestWebSocketsAndTCPCross(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	db := service("db", mesh.TCP)
	db.Port = 5432
	s.declare(service("chat", mesh.HTTP), db, service("web", mesh.HTTP, "chat", "db"))
	chat := startSidecar(t, s, "chat", "1", app(t, echoUpgrade), proxy.Delta)
	s.register("chat", "1", chat.inbound)
	s.register("db", "1", echoTCP(t))
	web := startSidecar(t, s, "web", "1", "", proxy.Delta, "db")

	heddletest.Eventually(t, "a WebSocket to echo", func() error {
		return echoes(web.outbound, "GET /ws HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	})
	heddletest.Eventually(t, "TCP to echo", func() error { return echoes(web.ports["db"], "") })
}

// echoUpgrade answers an upgrade, and then echoes lines.
func echoUpgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "not an upgrade", http.StatusBadRequest)
		return
	}
	connection, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := buffer.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(connection, line)
	}
}

func echoTCP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(connection, connection)
			_ = connection.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

// echoes sends a request for an upgrade, if there is one, and then two lines.
func echoes(address, upgrade string) error {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(2 * time.Second))
	reader := bufio.NewReader(connection)
	if upgrade != "" {
		_, _ = io.WriteString(connection, upgrade)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusSwitchingProtocols {
			return errors.New(response.Status)
		}
	}
	for _, line := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(connection, line)
		back, err := reader.ReadString('\n')
		if err != nil || back != line {
			return fmt.Errorf("sent %q, got %q, %w", line, back, err)
		}
	}
	return nil
}

func TestRoutesFollowHeadersPathsAndMirrors(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var mirrored atomic.Int64
	orders := service("orders", mesh.HTTP)
	for _, v := range []string{"1", "2", "3"} {
		orders.Subsets = append(orders.Subsets, mesh.Subset{Name: "v" + v, Labels: map[string]string{"version": v}})
	}
	orders.Routes = []mesh.RouteRule{
		{Match: mesh.RequestMatch{Headers: []mesh.HeaderMatch{{Name: "x-beta", Exact: "yes"}}}, To: []mesh.WeightedSubset{{Subset: "v2", Weight: 1}}},
		{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/new"}}, To: []mesh.WeightedSubset{{Subset: "v2", Weight: 1}}},
		{To: []mesh.WeightedSubset{{Subset: "v1", Weight: 1}}, Mirror: &mesh.Mirror{Subset: "v3"}},
	}
	s.declare(orders, service("web", mesh.HTTP, "orders"))
	version := func(v string) func(*mesh.Instance) {
		return func(i *mesh.Instance) { i.Labels = map[string]string{"version": v} }
	}
	s.register("orders", "a", app(t, says("version one")), version("1"))
	s.register("orders", "b", app(t, says("version two")), version("2"))
	s.register("orders", "c", app(t, func(http.ResponseWriter, *http.Request) { mirrored.Add(1) }), version("3"))
	web := startSidecar(t, s, "web", "1", "", proxy.Delta)

	web.wants(t, "orders", "/", http.StatusOK, "version one")
	web.wants(t, "orders", "/", http.StatusOK, "version two", func(r *http.Request) { r.Header.Set("X-Beta", "yes") })
	web.wants(t, "orders", "/new/thing", http.StatusOK, "version two")
	web.wants(t, "orders", "/news", http.StatusOK, "version one") // whole segments
	heddletest.Eventually(t, "the mirror to get copies", func() error {
		if _, err := web.call(t, "orders", "/"); err != nil {
			return err
		}
		if mirrored.Load() == 0 {
			return errors.New("none came")
		}
		return nil
	})
}

func TestRetriesTimeoutsAndHealth(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var calls atomic.Int64
	flaky := service("flaky", mesh.HTTP)
	flaky.Traffic.Retries = &mesh.Retries{Attempts: 3, On: []string{"5xx"}}
	slow := service("slow", mesh.HTTP)
	slow.Traffic.Timeout = mesh.Duration(100 * time.Millisecond)
	checked := service("checked", mesh.HTTP)
	checked.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckHTTP, Path: "/health", Interval: mesh.Duration(100 * time.Millisecond), UnhealthyThreshold: 1, HealthyThreshold: 1}
	s.declare(flaky, slow, checked, service("web", mesh.HTTP, "flaky", "slow", "checked"))
	s.register("flaky", "1", app(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1)%3 != 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "third time lucky")
	}))
	s.register("slow", "1", app(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	healthy := func(name string, status *atomic.Int64) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" {
				w.WriteHeader(int(status.Load()))
				return
			}
			_, _ = io.WriteString(w, name)
		}
	}
	var good, bad atomic.Int64
	good.Store(200)
	bad.Store(500)
	s.register("checked", "good", app(t, healthy("the good one", &good)))
	s.register("checked", "bad", app(t, healthy("the bad one", &bad)))
	web := startSidecar(t, s, "web", "1", "", proxy.Delta)
	web.wants(t, "flaky", "/", http.StatusOK, "lucky")
	web.wants(t, "slow", "/", http.StatusGatewayTimeout, "")
	heddletest.Eventually(t, "the bad instance to be left alone", func() error {
		for range 10 {
			if got, err := web.call(t, "checked", "/"); err != nil || !strings.Contains(got.body, "good") {
				return fmt.Errorf("got %v, %w", got, err)
			}
		}
		return nil
	})
}

func TestADrainingInstanceGetsNothingNew(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	a := s.register("orders", "a", app(t, says("from a")))
	s.register("orders", "b", app(t, says("from b")))
	web := startSidecar(t, s, "web", "1", "", proxy.Delta)
	web.wants(t, "orders", "/", http.StatusOK, "from a")
	web.wants(t, "orders", "/", http.StatusOK, "from b")
	if _, err := s.client.SetHealth(t.Context(), a.Key(), a.Epoch, mesh.Draining); err != nil {
		t.Fatal(err)
	}
	heddletest.Eventually(t, "a to be left alone", func() error {
		for range 10 {
			if got, err := web.call(t, "orders", "/"); err != nil || got.body != "from b" {
				return fmt.Errorf("got %v, %w", got, err)
			}
		}
		return nil
	})
	if _, err := s.client.SetHealth(t.Context(), a.Key(), a.Epoch, mesh.Healthy); err != nil {
		t.Fatal(err)
	}
	web.wants(t, "orders", "/", http.StatusOK, "from a")
}

func TestAServiceThatListsItselfCallsItsOwnInstances(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("gossip", mesh.HTTP, "gossip"))
	first := startSidecar(t, s, "gossip", "1", app(t, says("the first")), proxy.Delta)
	s.register("gossip", "1", first.inbound)
	s.register("gossip", "2", app(t, says("the second")))
	first.wants(t, "gossip", "/", http.StatusOK, "the first")
	first.wants(t, "gossip", "/", http.StatusOK, "the second")
}
