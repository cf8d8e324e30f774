package grpcapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// fill tells the catalog what the registry holds.
func (h *harness) fill() {
	h.t.Helper()
	services, revision, err := h.store.Services(h.t.Context())
	ok(h.t, err)
	var changes []mesh.Change
	for i := range services {
		changes = append(changes, mesh.Change{Service: &services[i], Revision: services[i].Meta.Revision})
	}
	h.catalog.Apply(revision, true, changes)
}

// The gRPC API refuses what the REST API does: a sidecar cannot open one port twice.
func TestPortsThatOneSidecarCannotOpenTogether(t *testing.T) {
	h := start(t)
	upstream := func(name string, port uint32) *heddlev1.Upstream {
		u := dnsUpstream(name, name+".example.com")
		u.Protocol, u.Port, u.ListenerPort = heddlev1.Protocol_PROTOCOL_TCP, 5432, port
		return u
	}
	h.create(upstream("ledger", 9000))
	h.create(upstream("audit", 9000))
	h.create(upstream("vault", 9001))
	_, err := h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: declaration("payments", "ledger", "vault")})
	ok(t, err)
	h.fill()

	_, err = h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: declaration("books", "ledger", "audit")})
	refused(t, err, codes.InvalidArgument, "service.dependencies.names[1]", "ledger", "audit", "9000")
	_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: upstream("vault", 9000)})
	refused(t, err, codes.InvalidArgument, "upstream.listener_port", "ledger", "payments")
	_, err = h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: upstream("new", 15001)})
	refused(t, err, codes.InvalidArgument, "upstream.listener_port", "15001")
	_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: upstream("ledger", 9000)})
	ok(t, err) // beside itself
}

func TestCallsAreCountedByMethodAndCode(t *testing.T) {
	h := start(t)
	metrics := prometheus.NewRegistry()
	h.metrics = metrics
	s := h.serve()
	_, err := s.services.GetService(h.reader(), &heddlev1.GetServiceRequest{Name: "nobody"})
	refused(t, err, codes.NotFound)
	_, err = s.services.CreateService(h.reader(), &heddlev1.CreateServiceRequest{})
	refused(t, err, codes.Unauthenticated)
	page := httptest.NewRecorder()
	promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`heddle_grpc_requests_total{code="NotFound",operation="GetService"} 1`,
		`heddle_grpc_requests_total{code="Unauthenticated",operation="CreateService"} 1`,
		`heddle_grpc_request_duration_seconds_count{operation="GetService"} 1`,
		`heddle_grpc_watches 0`,
	} {
		if !strings.Contains(page.Body.String(), want+"\n") {
			t.Errorf("no line %q in\n%s", want, page.Body)
		}
	}
}
