package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
)

func TestLifeOfARoute(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	ctx := t.Context()
	route := mesh.Route{Name: "shop", Owner: "team", Hosts: []string{"shop.example.com"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}
	created, err := c.CreateRoute(ctx, route)
	if err != nil || created.Meta.Revision == 0 {
		t.Fatalf("%+v, %v", created, err)
	}
	if _, err := c.CreateRoute(ctx, route); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("created twice: %v", err)
	}
	created.Timeout = mesh.Duration(time.Second)
	changed, err := c.PutRoute(ctx, created)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutRoute(ctx, created); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("a stale write: %v", err)
	}
	got, err := c.Route(ctx, "shop")
	if diff := cmp.Diff(changed, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if list, err := c.Routes(ctx); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := c.DeleteRoute(ctx, "shop", created.Meta.Revision); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("a stale deletion: %v", err)
	}
	if err := c.DeleteRoute(ctx, "shop", 0); err != nil {
		t.Error(err)
	}
}

func TestTheRuntimeLayer(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	ctx := t.Context()
	empty := w.call("GET", "/api/v1/runtime", "")
	if empty.header.Get("ETag") != `"0"` || !strings.Contains(empty.body, `"values":{}`) {
		t.Errorf("%v %s", empty.header, empty.body)
	}
	if got := w.write("PUT", "/api/v1/runtime", `{"values":{"a":1}}`, `If-Match: "0"`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.write("PUT", "/api/v1/runtime", `{"values":{}}`, `If-Match: "0"`); got.status != 409 {
		t.Errorf("%d %s", got.status, got.body)
	}
	layer, err := c.Runtime(ctx)
	if err != nil {
		t.Fatal(err)
	}
	layer.Values["b"] = "text"
	changed, err := c.PutRuntime(ctx, layer)
	if err != nil || changed.Values["a"] != 1.0 || changed.Values["b"] != "text" {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := c.PutRuntime(ctx, layer); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("a stale write: %v", err)
	}
}

func TestProxiesTravelWhole(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	told := server.Proxy{
		Node: "orders/o-1", Service: "orders", Instance: "o-1", Scope: "orders", Address: "10.0.0.1:999", Transport: "ads-delta", Connected: at,
		Types: []server.ProxyType{{
			Type: "type.googleapis.com/x", Sent: "2", Acknowledged: "1", Rejections: 3, BehindSince: at,
			Rejected: &server.Rejection{Message: "no", At: at, Version: "2", Objects: []server.Origin{{Object: "service/orders", Author: "a", Revision: 7}}},
		}},
	}
	w := newWorld(t, func(cfg *server.Config) { cfg.Proxies = func() []server.Proxy { return []server.Proxy{told} } })
	got, err := w.client(w.admin).Proxies(t.Context())
	want := client.Proxy{
		Node: "orders/o-1", Service: "orders", Instance: "o-1", Scope: "orders", Address: "10.0.0.1:999", Transport: "ads-delta", Connected: at,
		Types: []client.ProxyType{{
			Type: "type.googleapis.com/x", Sent: "2", Acknowledged: "1", Rejections: 3, BehindSince: at,
			Rejected: &client.Rejection{Message: "no", At: at, Version: "2", Objects: []client.Origin{{Object: "service/orders", Author: "a", Revision: 7}}},
		}},
	}
	if diff := cmp.Diff([]client.Proxy{want}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestProblems(t *testing.T) {
	w := newWorld(t, func(cfg *server.Config) {
		cfg.Problems = func() []server.Problem { return []server.Problem{{Object: "route/shop", Message: "given"}} }
	})
	w.declare(orders)
	w.putRaw("/heddle/v1/services/broken", "{not json")
	w.declare(`{"name":"caller","owner":"a","protocol":"http","port":80,"dependencies":["broken"]}`)
	w.putRaw("/heddle/v1/instances/shop/old", `{"id":"old","service":"shop","address":"0.0.0.0","port":80}`)
	c := w.client("")
	want := []string{"/heddle/v1/instances/shop/old", "/heddle/v1/services/broken", "service/caller", "service/orders", "route/shop"}
	w.eventually("all problems are shown", func() bool {
		got, err := c.Problems(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var objects []string
		for _, one := range got {
			objects = append(objects, one.Object)
			if inUse := one.Object == want[0]; inUse != strings.Contains(one.Message, "stays in use, but would be refused") {
				t.Errorf("%s: %s", one.Object, one.Message)
			}
			if one.Object == "service/caller" && !strings.Contains(one.Message, `depends on "broken", whose stored declaration cannot be read`) {
				t.Errorf("%s: %s", one.Object, one.Message)
			}
		}
		return cmp.Equal(want, objects)
	})
	if list, err := c.Services(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("a corrupt value beside: %v, %v", list, err)
	}
	if version, err := c.Version(t.Context()); err != nil || version.Version != "test" {
		t.Errorf("%v, %v", version, err)
	}
}

func TestReadySaysWhyNot(t *testing.T) {
	var more error
	w := newWorld(t, func(cfg *server.Config) { cfg.Ready = func() error { return more } })
	c := w.client("")
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	more = errors.New("the xDS port is not open")
	if err := c.Ready(t.Context()); mesh.KindOf(err) != mesh.KindUnavailable || !strings.Contains(err.Error(), "xDS port") {
		t.Errorf("got %v", err)
	}
	if got := w.call("GET", "/livez", ""); got.status != 200 {
		t.Errorf("%d", got.status)
	}
}

func TestNotReadyBeforeTheCatalogIsSynced(t *testing.T) {
	w := newWorld(t)
	early, err := server.New(server.Config{Registry: w.store, Catalog: catalog.New(catalog.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if got := get(t, early, "/readyz"); got.status != 503 || !strings.Contains(got.body, "has not been read") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestEtcdIsAway(t *testing.T) {
	w := newWorld(t)
	w.declare(orders)
	w.seen()
	impatient, err := registry.Open(t.Context(), registry.Config{Endpoints: []string{w.etcd.Endpoint()}, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = impatient.Close() }()
	s, err := server.New(server.Config{Registry: impatient, Catalog: w.catalog})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	listener := httptest.NewServer(s)
	defer listener.Close()
	w.url = listener.URL
	if got := w.write("PUT", "/api/v1/services/orders", orders); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	w.stopEtcd()
	for name, got := range map[string]reply{
		"read":   w.call("GET", "/api/v1/services/orders", ""),
		"write":  w.write("PUT", "/api/v1/services/orders", orders),
		"events": w.call("GET", "/api/v1/events", ""),
		"ready":  w.call("GET", "/readyz", ""),
	} {
		if p := got.problem(t); p.Status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(p.Detail, "etcd") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := w.call("GET", "/livez", ""); got.status != 200 {
		t.Errorf("livez: %d", got.status)
	}
	w.http.CloseIdleConnections()
}

func TestMetricsAreServed(t *testing.T) {
	w := newWorld(t, func(cfg *server.Config) {
		cfg.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("heddle_x 1\n")) })
	})
	if got := w.call("GET", "/metrics", ""); got.status != 200 || got.body != "heddle_x 1\n" {
		t.Errorf("%d %s", got.status, got.body)
	}
}
