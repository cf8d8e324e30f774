package xds_test

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// A resource that goes from one scope to another in one update stays, though
// it is not put again: only what no scope holds in the end is dropped.
func TestMoveBetweenScopes(t *testing.T) {
	r := newRig(t, xds.Config{})
	orders := resource(t, xds.TypeEndpoint, "orders", "e1")
	r.server.Apply(xds.Update{Put: []*xds.Resource{orders}, Scopes: map[string][]xds.Key{"web": keys(orders)}})
	from, to := "web", "shop"
	for range 16 { // a map's order is the luck of the moment
		r.server.Apply(xds.Update{Scopes: map[string][]xds.Key{from: nil, to: keys(orders)}})
		one := r.connect("eds-delta", to+"/1")
		one.send(&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"orders"}})
		var got *discoveryv3.DeltaDiscoveryResponse
		eventually(t, "the answer", func() bool {
			for _, e := range one.taken() {
				got, _ = e.response.(*discoveryv3.DeltaDiscoveryResponse)
			}
			return got != nil
		})
		one.cancel()
		if len(got.GetResources()) != 1 {
			t.Fatalf("moved from %s to %s and lost: %v", from, to, got)
		}
		from, to = to, from
	}
}
