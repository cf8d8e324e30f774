package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server"
)

func TestProxyConfig(t *testing.T) {
	var asked []mesh.ProxyQuery
	told := mesh.ProxyConfig{Node: "web/web-1", Streams: []mesh.ProxyStream{}, Total: 1, Next: "clusters/orders", Resources: []mesh.ProxyResource{{
		Type: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Name: "orders", State: mesh.ResourceSynced, Held: "a", Sent: "a", Current: "a", Newest: "a", Config: []byte(`{"name":"orders"}`),
	}}}
	w := newWorld(t, func(cfg *server.Config) {
		cfg.ProxyConfig = func(q mesh.ProxyQuery) (mesh.ProxyConfig, error) {
			if q.Node != "web/web-1" {
				return mesh.ProxyConfig{}, mesh.NotFound("no proxy %q is connected", q.Node)
			}
			asked = append(asked, q)
			return told, nil
		}
	})
	cds := "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	for _, q := range []mesh.ProxyQuery{
		{Node: "web/web-1", Content: true, Limit: 100},
		{Node: "web/web-1", Type: cds, Name: "ord&ers", Differ: true, After: "clusters/a/b", Limit: 7},
	} {
		got, err := w.client("").ProxyConfig(t.Context(), q)
		if diff := cmp.Diff(told, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if diff := cmp.Diff(q, asked[len(asked)-1]); diff != "" {
			t.Error(diff)
		}
	}
	if got := w.call("GET", "/api/v1/proxies/web%2Fweb-1/config?type=cds", ""); got.status != 200 || asked[len(asked)-1] != (mesh.ProxyQuery{Node: "web/web-1", Type: cds, Content: true, Limit: 100}) {
		t.Errorf("%d %s %+v", got.status, got.body, asked[len(asked)-1])
	}
	for path, want := range map[string]struct {
		status int
		says   string
	}{
		"web%2Fweb-2/config":                   {404, `no proxy \"web/web-2\"`},
		"web%2Fweb-1/config?type=cluster":      {422, "query.type"},
		"web%2Fweb-1/config?limit=1001":        {422, "query.limit"},
		"web%2Fweb-1/config?diffs=true":        {422, "query.diffs"},
		"web%2Fweb-1/config?content=sometimes": {422, "content"},
	} {
		if got := w.call("GET", "/api/v1/proxies/"+path, ""); got.status != want.status || !strings.Contains(got.body, want.says) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	closed := newWorld(t, func(cfg *server.Config) { cfg.RequireReadToken = true })
	if got := closed.call("GET", "/api/v1/proxies/web%2Fweb-1/config", ""); got.status != 401 {
		t.Errorf("without a token: %d %s", got.status, got.body)
	}
	if got := closed.write("GET", "/api/v1/proxies/web%2Fweb-1/config", ""); got.status != 404 {
		t.Errorf("with one, and no proxies: %d %s", got.status, got.body)
	}
}
