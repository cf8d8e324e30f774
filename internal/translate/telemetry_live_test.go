package translate_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/otlptest"
)

// awaitSpan waits for a service's span that fits.
func awaitSpan(t *testing.T, from *otlptest.Receiver, service string, fits func(otlptest.Span) bool) otlptest.Span {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second) // Envoy sends what it has every 5 s
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; time.Now().Before(deadline); <-tick.C {
		spans := from.Spans()
		if i := slices.IndexFunc(spans, func(s otlptest.Span) bool { return s.Service == service && fits(s) }); i >= 0 {
			return spans[i]
		}
	}
	t.Fatalf("no such span of %s arrived; there are %+v", service, from.Spans())
	return otlptest.Span{}
}

// logLines reads an access log once it has a number of lines.
func logLines(t *testing.T, file string, want int) []map[string]any {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second) // Envoy writes every 10 s at the latest
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; time.Now().Before(deadline); <-tick.C {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "\n") < want {
			continue
		}
		var lines []map[string]any
		for line := range strings.Lines(string(text)) {
			one := map[string]any{}
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatalf("the line is not JSON: %v: %s", err, line)
			}
			lines = append(lines, one)
		}
		return lines
	}
	t.Fatalf("%s has not %d lines", file, want)
	return nil
}

// TestTelemetryOfTwoSidecars sends requests through two real Envoys: the spans of
// both are one trace, each of its own service, and each request has its line in
// both access logs.
func TestTelemetryOfTwoSidecars(t *testing.T) {
	receiver := otlptest.Start(t)
	host, port := splitAddress(t, receiver.Address())
	logs := t.TempDir()
	told := func(log string) telemetry {
		return telemetry{AccessLog: filepath.Join(logs, log), Collector: host, CollectorPort: port, Sample: 1}
	}
	_, appPort := echo(t, "app")
	orders := startSidecar(t, &input{
		Proxy:    mesh.Proxy{Service: "orders", Instance: "orders-1", AppPort: appPort, InboundPort: 8081},
		Services: []mesh.Service{service("orders", mesh.HTTP)}, Telemetry: told("orders.log"),
	})
	ip, inbound := splitAddress(t, orders.inbound(t))
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), service("orders", mesh.HTTP)},
		Instances: []mesh.Instance{instanceAt("orders", "orders-1", ip, inbound)}, Telemetry: told("web.log"),
	})

	if got := call(t, web.outbound(t), "orders", "/cart?token=secret", nil); got.status != 200 {
		t.Fatalf("answered %d: %s", got.status, got.body)
	}
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	call(t, web.outbound(t), "orders", "/joined", http.Header{"Traceparent": {"00-" + theirs + "-b7ad6b7169203331-01"}})
	call(t, web.outbound(t), "reviews", "/refused", nil)

	first := awaitSpan(t, receiver, "web", func(s otlptest.Span) bool {
		return s.Parent == "" && strings.Contains(s.Attributes["http.url"], "/cart")
	})
	second := awaitSpan(t, receiver, "orders", func(s otlptest.Span) bool { return s.Trace == first.Trace })
	if second.Parent != first.ID {
		t.Errorf("the callee's span is a child of %q, not of the caller's, %q", second.Parent, first.ID)
	}
	joined := awaitSpan(t, receiver, "orders", func(s otlptest.Span) bool { return s.Trace == theirs })
	caller := awaitSpan(t, receiver, "web", func(s otlptest.Span) bool { return s.Trace == theirs })
	if caller.Parent != "b7ad6b7169203331" || joined.Parent != caller.ID {
		t.Errorf("the application's trace goes on as %q, %q", caller.Parent, joined.Parent)
	}

	for service, want := range map[string]struct {
		lines     int
		direction string
	}{"web": {3, "outbound"}, "orders": {2, "inbound"}} {
		lines := logLines(t, filepath.Join(logs, service+".log"), want.lines)
		one := lines[0]
		if one["service"] != service || one["direction"] != want.direction || one["method"] != "GET" || one["status"] != float64(200) || one["traceId"] != first.Trace {
			t.Errorf("%s wrote %v", service, one)
		}
		if one["path"] != "/cart" {
			t.Errorf("%s wrote the path %v: a query does not belong there", service, one["path"])
		}
		for _, field := range []string{"time", "host", "protocol", "durationMs", "bytesIn", "bytesOut", "remote", "requestId", "cluster", "upstream", "details"} {
			if one[field] == nil {
				t.Errorf("%s wrote no %s: %v", service, field, one)
			}
		}
		if service == "web" {
			if refused := lines[2]; refused["status"] != float64(403) || refused["reason"] != "undeclared" || refused["upstream"] != nil {
				t.Errorf("of a refused call %v was written", refused)
			}
		}
	}
}

// TestStrangersDoNotSayWhatIsTraced has somebody outside claim a trace.
func TestStrangersDoNotSayWhatIsTraced(t *testing.T) {
	receiver := otlptest.Start(t)
	host, port := splitAddress(t, receiver.Address())
	at := startEdge(t, &input{Routes: []mesh.Route{route("shop", "shop.example.com", "orders")}, Telemetry: telemetry{Collector: host, CollectorPort: port, Sample: 1}}, "orders")
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	call(t, at, "shop.example.com", "/x", http.Header{"Traceparent": {"00-" + theirs + "-b7ad6b7169203331-01"}})
	span := awaitSpan(t, receiver, "gateway/edge", func(otlptest.Span) bool { return true })
	if span.Trace == theirs || span.Parent != "" {
		t.Errorf("the gateway's span is of trace %q below %q", span.Trace, span.Parent)
	}
}
