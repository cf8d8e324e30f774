package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server"
)

func TestEdgesAreThoseThatProxiesSaw(t *testing.T) {
	w := newWorld(t, func(c *server.Config) {
		c.Observed = func(context.Context) (insight.Observed, error) {
			return insight.Observed{Edges: []mesh.Edge{{Caller: "web", Callee: "orders", Requests: 7}, {Caller: "gateway/edge", Callee: "web", Requests: 9}}}, nil
		}
	})
	for path, want := range map[string][]string{
		"/api/v1/edges":                          {`"caller":"web"`, `"gateway/edge"`},
		"/api/v1/edges?service=orders":           {`"callee":"orders"`},
		"/api/v1/edges?service=gateway%2Fedge":   {`"gateway/edge"`},
		"/api/v1/edges?service=nobody-knows-it":  {`"items":[]`},
		"/api/v1/edges?caller=no-such-parameter": {"is not a parameter here"},
	} {
		got := w.call("GET", path, "").body
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("%s: %s lacks %s", path, got, text)
			}
		}
		if strings.Contains(path, "orders") && strings.Contains(got, "gateway/edge") {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestNoEdgesWithoutReports(t *testing.T) {
	w := newWorld(t)
	if got := w.call("GET", "/api/v1/edges", ""); got.status != 200 || !strings.Contains(got.body, `"items":[]`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}
