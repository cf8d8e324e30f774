package xds_test

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// figures gives the values of what a registry gathers: of a histogram the number
// and the sum.
func figures(t *testing.T, r *prometheus.Registry, name string) (count uint64, value float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				count, value = count+h.GetSampleCount(), value+h.GetSampleSum()
			} else {
				count, value = count+1, value+m.GetGauge().GetValue()
			}
		}
	}
	return count, value
}

// An acknowledgement is measured from the write that it is about, once for each
// response; what a proxy is sent because it came is not measured.
func TestPropagationIsMeasuredFromTheWrite(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, xds.Config{Registerer: registry})
	orders := resource(t, xds.TypeCluster, "orders", "v1")
	r.server.Apply(xds.Update{Put: []*xds.Resource{orders}, Scopes: map[string][]xds.Key{"web": keys(orders)}, Written: time.Now().Add(-time.Hour)})
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(r.conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(request *discoveryv3.DeltaDiscoveryRequest) {
		t.Helper()
		request.TypeUrl = xds.TypeCluster
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
	}
	ack := func() {
		t.Helper()
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		send(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: response.GetNonce()})
	}
	inSync := func() {
		t.Helper()
		eventually(t, "the proxy to have everything", func() bool {
			connected, _ := figures(t, registry, "heddle_xds_proxies")
			_, behind := figures(t, registry, "heddle_xds_proxies_behind")
			return connected == 1 && behind == 0
		})
	}
	send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "web/1"}, ResourceNamesSubscribe: []string{"*"}})
	ack()
	inSync()
	if count, _ := figures(t, registry, "heddle_xds_propagation_seconds"); count != 0 {
		t.Errorf("what the proxy found when it came was measured %d times", count)
	}
	r.server.Apply(xds.Update{Put: []*xds.Resource{resource(t, xds.TypeCluster, "orders", "v2")}, Written: time.Now().Add(-3 * time.Second)})
	eventually(t, "the proxy to be behind", func() bool {
		_, behind := figures(t, registry, "heddle_xds_proxies_behind")
		_, oldest := figures(t, registry, "heddle_xds_proxies_behind_oldest_seconds")
		return behind == 1 && oldest > 0
	})
	ack()
	inSync()
	if count, sum := figures(t, registry, "heddle_xds_propagation_seconds"); count != 1 || sum < 3 || sum > 20 {
		t.Errorf("measured %d times, %v s in all; want once, a little more than 3 s", count, sum)
	}
	r.server.Apply(xds.Update{Put: []*xds.Resource{resource(t, xds.TypeCluster, "orders", "v3")}})
	ack()
	inSync()
	if count, _ := figures(t, registry, "heddle_xds_propagation_seconds"); count != 1 {
		t.Error("an update that nobody wrote was measured")
	}
}
