package server_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/server"
)

// A page whose own name was made to resolve to the server's address reads
// nothing; names that the server was given, and addresses, are its own.
func TestRequestsForAnotherHostAreMisdirected(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Hosts = []string{"Heddle.example.com", "heddle"} })
	for host, want := range map[string]int{
		"127.0.0.1:7080": 200, "127.0.0.1": 200, "[::1]:7080": 200, "[::1]": 200, "10.0.0.7": 200,
		"localhost": 200, "LOCALHOST:7080": 200, "localhost.": 200,
		"heddle.example.com": 200, "heddle.EXAMPLE.com.:7080": 200, "heddle:1": 200,
		"evil.example": 421, "evil.example:7080": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421,
		"x.heddle.example.com": 421, "heddle.example.com.evil.example": 421, "0x7f000001": 421, "localhost:7080:7080": 421,
	} {
		for _, path := range []string{"/api/v1/services", "/metrics-not-there", "/docs", "/readyz"} {
			got := w.call("GET", path, "", "Host: "+host)
			if want == http.StatusMisdirectedRequest {
				if got.status != want {
					t.Errorf("%s of %s: %d", path, host, got.status)
					continue
				}
				if p := got.problem(t); !strings.Contains(p.Detail, "--host") {
					t.Errorf("%s of %s: %s", path, host, p.Detail)
				}
			} else if got.status == http.StatusMisdirectedRequest {
				t.Errorf("%s of %s was refused", path, host)
			}
		}
	}
	// Writes with a token, too: the browser's user may hold one.
	if got := w.write("POST", "/api/v1/services", `{}`, "Host: evil.example"); got.status != http.StatusMisdirectedRequest {
		t.Errorf("write: %d", got.status)
	}
}

func TestHostsThatAreNoNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "http://x", "x:80", "*.example.com", "a b", "."} {
		if _, err := server.New(server.Config{Registry: w.store, Catalog: w.catalog, Hosts: []string{name}}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestRequestsAreCountedByOperation(t *testing.T) {
	metrics := prometheus.NewRegistry()
	w := newWorld(t, func(c *server.Config) {
		c.Registerer, c.Metrics = metrics, promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
	})
	w.call("GET", "/api/v1/services/nobody", "")
	w.call("GET", "/api/v1/services/nothing", "")
	w.call("GET", "/made/up/1", "")
	w.call("DELETE", "/api/v1/services", "")
	w.call("GET", "/api/v1/services/x/../y", "")
	w.call("GET", "/docs", "", "Host: evil.example")
	w.call("PUT", "/api/v1/runtime", `{}`)
	got := w.call("GET", "/metrics", "").body
	for _, want := range []string{
		`heddle_http_requests_total{code="404",operation="getService"} 2`,
		`heddle_http_requests_total{code="404",operation="other"} 2`,
		`heddle_http_requests_total{code="405",operation="other"} 1`,
		`heddle_http_requests_total{code="421",operation="other"} 1`,
		`heddle_http_requests_total{code="401",operation="putRuntime"} 1`,
		`heddle_http_request_duration_seconds_count{operation="getService"} 2`,
		`heddle_http_event_streams 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
	if strings.Contains(got, "made") || strings.Contains(got, "nobody") {
		t.Error("what a client made up became a label")
	}
	if t.Failed() {
		t.Log(got)
	}
}

// Whatever a request holds, it makes one line, without its token.
func TestEachRequestIsLoggedOnOneLine(t *testing.T) {
	log := &logtest.Buffer{}
	w := newWorld(t, func(c *server.Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	w.write("GET", "/api/v1/services/a%0alevel=ERROR%1b%5b31m?token="+w.admin, "", "Idempotency-Key: deploy-7f3a")
	w.eventually("it is logged", func() bool { return strings.Contains(log.String(), "msg=request") })
	text := log.String()
	if strings.Contains(text, w.admin) || strings.Contains(text, "\x1b") || strings.Contains(text, "\nlevel=ERROR") {
		t.Errorf("log %q", text)
	}
	for _, want := range []string{"operation=getService", "status=422", "request_id=deploy-7f3a", "duration=", "method=GET", `a\\nlevel=ERROR\\x1b[31m`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
