package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/otlptest"
)

// TestProxiesTellOfRequests has the mesh tell of its requests by the server's flags
// alone: a request through a gateway and a sidecar is one trace, with a line in the
// output of heddle proxy.
func TestProxiesTellOfRequests(t *testing.T) {
	t.Parallel()
	receiver := otlptest.Start(t)
	s := startServer(t, "--sidecar-access-log", "stdout", "--sidecar-tracing-endpoint", receiver.Address())
	s.declare(service("orders", mesh.HTTP))
	s.route(route("shop", "shop.example.com", "orders"))
	g := startGateway(t, s)
	orders := startSidecar(t, s, "orders", "orders-1", app(t, says("orders here")), "delta")
	s.register("orders", "orders-1", orders.inbound)
	g.wants("shop.example.com", "/", http.StatusOK, "orders here")

	heddletest.Eventually(t, "the spans of both", func() error {
		spans := receiver.Spans()
		for _, at := range spans {
			if at.Service == "gateway/edge" && slices.ContainsFunc(spans, func(s otlptest.Span) bool {
				return s.Service == "orders" && s.Trace == at.Trace && s.Parent == at.ID
			}) {
				return nil
			}
		}
		return fmt.Errorf("there are %+v", spans)
	})
	heddletest.Eventually(t, "the access log", func() error {
		for line := range strings.Lines(g.Log.String()) {
			entry := struct {
				Service, Host string
				Status        int
			}{}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Service == "gateway/edge" && entry.Host == "shop.example.com" && entry.Status == http.StatusOK {
				return nil
			}
		}
		return fmt.Errorf("the gateway wrote:\n%s", g.Log.String())
	})
}
