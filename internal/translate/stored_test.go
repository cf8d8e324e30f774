package translate_test

import (
	"net/http"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestWhatIsRefusedOnWriteOnlyIsUsableWhenItIsStored: an older Heddle may have
// stored it, so Envoy has to take all of it.
func TestWhatIsRefusedOnWriteOnlyIsUsableWhenItIsStored(t *testing.T) {
	orders, old := service("orders", mesh.HTTP), service("old", mesh.HTTP)
	ip, port := application(t, func(http.ResponseWriter, *http.Request) {})
	instance := behindSidecar(t, orders, "orders-1", ip, port)
	instance.Address = "0.0.0.0" // to Linux, this machine
	for _, address := range []string{"0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "255.255.255.255"} {
		old.Endpoints.Static = append(old.Endpoints.Static, mesh.StaticEndpoint{Address: address, Port: 80})
	}
	path := func(p mesh.PathMatch, rewrite string) mesh.RouteRule {
		return mesh.RouteRule{Match: mesh.RequestMatch{Path: &p}, Rewrite: rewrite}
	}
	old.Routes = []mesh.RouteRule{
		path(mesh.PathMatch{Prefix: "/a/../b"}, "/x"), path(mesh.PathMatch{Prefix: "/a/."}, ""), path(mesh.PathMatch{Exact: `/a\b`}, "/x"),
		path(mesh.PathMatch{Prefix: "/%41/"}, "/x"), path(mesh.PathMatch{Prefix: "//"}, ""), {}, {},
	}
	for _, faults := range []mesh.Faults{old.Validate(), instance.Validate()} {
		if len(faults) == 0 || len(faults.OfStored()) > 0 {
			t.Fatalf("not what is to be tested: %v", faults)
		}
	}
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders", "old"), orders, old},
		Instances: []mesh.Instance{instance},
	})
	if got := call(t, web.outbound(t), "orders", "/", nil); got.status != http.StatusOK {
		t.Errorf("the instance that worked before does not: %d %s", got.status, got.body)
	}
}
