package test

import (
	"net/http"
	"testing"

	"github.com/heddle-mesh/heddle/internal/dashboards"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestDashboardsFitEnvoysMetrics holds the queries on Envoy's metrics to what real
// Envoys of the mesh export once requests have crossed them.
func TestDashboardsFitEnvoysMetrics(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	orders := startSidecar(t, s, "orders", "orders-1", app(t, says("orders here")), proxy.Delta)
	web := startSidecar(t, s, "web", "web-1", "", proxy.Delta)
	s.register("orders", "orders-1", orders.inbound)
	web.wants(t, "orders", "/", http.StatusOK, "orders here")
	exported := dashboards.Exported{}
	for _, one := range []*sidecar{orders, web} {
		exported.Parse(one.Get(t, "/stats/prometheus"))
	}
	queries, err := dashboards.Read("../deploy/observability")
	if err != nil {
		t.Fatal(err)
	}
	anyClass := func(label, value string) bool { return label == "envoy_response_code_class" && value == "5" }
	for _, q := range queries {
		for _, fault := range exported.Faults(q, "envoy_", anyClass) {
			t.Error(fault)
		}
	}
}
