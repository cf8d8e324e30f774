package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestRoutesMoveBetweenServices: a route is given to one service and to another, again
// and again, at gateways that have a token for each; no request is refused meanwhile,
// neither by the AuthZ service nor by a sidecar. A request that waits for its token
// when the only service leaves its route may find the service gone, which is 503.
func TestRoutesMoveBetweenServices(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startSecure(t, "--mtls", "strict", "--authz-listen", "127.0.0.1:0")
	all := workloads{}
	for _, name := range []string{"orders", "shop"} {
		s.declare(service(name, mesh.HTTP))
		all = append(all, newSecureWorkload(t, s, name, name+"-1", app(t, says(name+" here"))))
	}
	s.route(route("shop", "shop.example.com", "orders"))
	t.Cleanup(all.leave)
	all.start(t)
	var loads []*edgeLoad
	for range 2 { // one is the canary of the other
		join, _ := gatewayJoin(t, s)
		g := startGateway(t, s, join...)
		g.wants("shop.example.com", "/", http.StatusOK, "orders here")
		loads = append(loads, startEdgeLoad(t, g.http, "shop.example.com", func(status int, body string) bool {
			return status == http.StatusOK && strings.HasSuffix(body, "here") || status == http.StatusServiceUnavailable && body == ""
		}))
	}
	for i := range 20 {
		s.route(route("shop", "shop.example.com", []string{"shop", "orders"}[i%2]))
		time.Sleep(100 * time.Millisecond) // traffic goes on
	}
	for _, one := range loads {
		one.check(t)
	}
}
