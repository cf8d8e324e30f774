package xds_test

import (
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// What is quarantined is listed with its author and the proxy's words, counted,
// outlives the scope's last proxy, and is forgotten when it is mended.
func TestQuarantine(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, xds.Config{Registerer: registry})
	good, bad := resource(t, xds.TypeCluster, "orders", "good"), resource(t, xds.TypeCluster, "orders", "bad")
	other := resource(t, xds.TypeCluster, "other", "v1")
	scope := map[string][]xds.Key{"web": keys(good, other)}
	r.server.Apply(xds.Update{Put: []*xds.Resource{good, other}, Scopes: scope})
	first := r.connect("ads-delta", "web/1")
	first.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster})
	next := func(c *client) map[string]string {
		t.Helper()
		eventually(t, "a response", func() bool { return c.open()[xds.TypeCluster] > 0 })
		got := map[string]string{}
		for _, e := range c.taken() {
			for _, one := range e.response.(*discoveryv3.DeltaDiscoveryResponse).GetResources() {
				got[one.GetName()] = one.GetVersion()
			}
		}
		return got
	}
	next(first)
	first.answer(xds.TypeCluster, "")
	eventually(t, "it is accepted", func() bool { return statusOf(r.server, xds.TypeCluster).BehindSince.IsZero() })
	r.server.Apply(xds.Update{Put: []*xds.Resource{bad}})
	next(first)
	first.answer(xds.TypeCluster, "Error adding/updating cluster(s) orders: no such policy")
	eventually(t, "it is quarantined", func() bool { return len(r.server.Quarantine()) == 1 })
	q := r.server.Quarantine()[0]
	want := xds.Quarantined{Type: xds.TypeCluster, Name: "orders", Version: bad.Version, Good: good.Version, Node: "web/1",
		Origin: xds.Origin{Object: "service/orders", Author: "ann", Revision: 7}, Message: "Error adding/updating cluster(s) orders: no such policy"}
	if q.At.IsZero() || time.Since(q.At) > time.Minute {
		t.Errorf("at %s", q.At)
	}
	if q.At = (time.Time{}); q != want {
		t.Errorf("got  %+v\nwant %+v", q, want)
	}
	if got := gauge(t, registry, "heddle_xds_quarantined"); got != 1 {
		t.Errorf("heddle_xds_quarantined is %v", got)
	}
	// Its only proxy starts again, and the scope is closed and opened meanwhile.
	first.cancel()
	eventually(t, "it is gone", func() bool { return len(r.server.Status()) == 0 })
	r.server.Apply(xds.Update{Scopes: map[string][]xds.Key{"web": nil}})
	if all := r.server.Quarantine(); len(all) != 0 {
		t.Errorf("%v is listed, and nobody is to have it", all)
	}
	r.server.Apply(xds.Update{Put: []*xds.Resource{bad, other}, Scopes: scope})
	second := r.connect("ads-delta", "web/1")
	defer second.cancel()
	second.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster})
	if got := next(second); got["orders"] != good.Version || got["other"] != other.Version {
		t.Errorf("a proxy that starts again is sent %v", got)
	}
	second.answer(xds.TypeCluster, "")
	mended := resource(t, xds.TypeCluster, "orders", "mended")
	r.server.Apply(xds.Update{Put: []*xds.Resource{mended}})
	if got := next(second); got["orders"] != mended.Version {
		t.Errorf("%v", got)
	}
	if all := r.server.Quarantine(); len(all) != 0 {
		t.Errorf("still quarantined: %v", all)
	}
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
