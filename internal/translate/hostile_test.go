package translate_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// application serves HTTP on a port of its own until the test ends.
func application(t *testing.T, handle http.HandlerFunc) (ip string, port mesh.Port) {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return splitAddress(t, server.Listener.Addr().String())
}

// Headers by which Envoy lets those it trusts overrule its configuration.
// Whoever claims to come from inside counts as trusted for Envoy's old default.
func overruling() http.Header {
	return http.Header{
		"X-Forwarded-For":                          {"10.0.0.1"},
		"X-Envoy-Internal":                         {"true"},
		"X-Envoy-Upstream-Rq-Timeout-Ms":           {"100"},
		"X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms":   {"100"},
		"X-Envoy-Expected-Rq-Timeout-Ms":           {"100"},
		"X-Envoy-Retry-On":                         {"5xx"},
		"X-Envoy-Retry-Grpc-On":                    {"internal"},
		"X-Envoy-Max-Retries":                      {"9"},
		"X-Envoy-Retriable-Status-Codes":           {"500"},
		"X-Envoy-Upstream-Alt-Stat-Name":           {"forged"},
		"X-Envoy-Upstream-Rq-Timeout-Alt-Response": {"1"},
		"X-Forwarded-Client-Cert":                  {"By=forged"},
	}
}

// TestNobodyOverrulesWhatTheServiceDeclares: neither the caller's application,
// by its own sidecar, nor anyone who reaches the inbound listener.
func TestNobodyOverrulesWhatTheServiceDeclares(t *testing.T) {
	var attempts atomic.Int32
	orders := service("orders", mesh.HTTP)
	ip, port := application(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			// Slower than the 100 ms that the headers ask for: that the sidecar
			// does not give up then can only be seen by letting that time pass.
			<-time.After(400 * time.Millisecond)
		case "/failing":
			attempts.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}
		for name := range overruling() {
			if r.Header.Get(name) != "" && name != "X-Forwarded-For" {
				fmt.Fprintf(w, "%s\n", name)
			}
		}
	})
	instance := behindSidecar(t, orders, "orders-1", ip, port)
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), orders},
		Instances: []mesh.Instance{instance},
	})
	for way, address := range map[string]string{
		"by the caller's sidecar": web.outbound(t), "at the inbound listener": fmt.Sprintf("%s:%d", instance.Address, instance.Port),
	} {
		t.Run(way, func(t *testing.T) {
			got := call(t, address, "orders", "/", overruling())
			if got.status != 200 || got.body != "" {
				t.Errorf("status %d, the application was told %s", got.status, got.body)
			}
			if got := call(t, address, "orders", "/slow", overruling()); got.status != 200 {
				t.Errorf("the request's own timeout was taken: %d %s", got.status, got.body)
			}
			attempts.Store(0)
			if got := call(t, address, "orders", "/failing", overruling()); got.status != 500 || attempts.Load() != 1 {
				t.Errorf("the request's own retries were made: %d after %d attempts", got.status, attempts.Load())
			}
		})
	}
}

// TestAnApplicationCannotAskForRetries: only a sidecar may say that a request
// did not reach the application. One that passes on the headers of its own
// failed call, as many do, must not have its caller send a payment twice.
func TestAnApplicationCannotAskForRetries(t *testing.T) {
	var attempts atomic.Int32
	orders := service("orders", mesh.HTTP)
	ip, port := application(t, func(w http.ResponseWriter, _ *http.Request) {
		attempts.Add(1)
		w.Header().Set("X-Heddle-Reason", "unreached")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), orders},
		Instances: []mesh.Instance{behindSidecar(t, orders, "orders-1", ip, port)},
	})
	got := call(t, web.outbound(t), "orders", "/pay", nil)
	if got.status != 503 || attempts.Load() != 1 {
		t.Errorf("got %d after %d attempts", got.status, attempts.Load())
	}
}

func TestHostsMayEndWithADot(t *testing.T) {
	ip, port := echo(t, "one")
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), service("orders", mesh.HTTP)},
		Instances: []mesh.Instance{instanceAt("orders", "orders-1", ip, port)},
	})
	for _, host := range []string{"orders.", "orders.mesh.", "Orders.mesh.:8080"} {
		if got := call(t, web.outbound(t), host, "/", nil); got.status != 200 {
			t.Errorf("%s: got %d %s", host, got.status, got.body)
		}
	}
}
