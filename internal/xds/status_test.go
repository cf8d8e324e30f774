package xds_test

import (
	"testing"
	"testing/synctest"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

func TestStatusOfAServiceIsOfItsStreamsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, xds.Config{Scopes: &countingScopes{}})
		defer r.close()
		for _, node := range []string{"web/2", "web/1", "webshop/1", "we/1"} {
			c := r.connect("ads-delta", node)
			defer c.cancel()
			c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}})
		}
		synctest.Wait()
		got := r.server.StatusOf("web")
		if len(got) != 2 || got[0].Node != "web/1" || got[1].Node != "web/2" || len(r.server.Status()) != 4 {
			t.Errorf("%+v", got)
		}
		if got := r.server.StatusOf("nobody"); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
}
