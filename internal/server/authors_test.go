package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
)

// Everybody may read what is declared; who wrote it is told as the audit tells it.
func TestAnAuthorIsShownAsTheAuditIs(t *testing.T) {
	const writer = "token:64e609af2ed3"
	origin := mesh.Origin{Object: "service/orders", Author: writer, Revision: 41}
	w := newWorld(t, func(cfg *server.Config) {
		cfg.Proxies = func() []mesh.ProxyStream {
			return []mesh.ProxyStream{{Node: "web/1", Types: []mesh.ProxyType{{Rejected: &mesh.Rejection{Objects: []mesh.Origin{origin}}}}}}
		}
		cfg.ProxyConfig = func(mesh.ProxyQuery) (mesh.ProxyConfig, error) {
			return mesh.ProxyConfig{Streams: cfg.Proxies(), Resources: []mesh.ProxyResource{{Name: "orders", Origin: &origin}}}, nil
		}
		cfg.Mesh = func() insight.Mesh { return insight.Mesh{View: cfg.Catalog.View(), Now: time.Now()} }
	})
	by := registry.Write{Author: writer}
	for _, one := range []mesh.Service{service("orders"), service("web", "orders")} {
		one.Owner = "team-" + string(one.Name)
		if _, err := w.store.PutService(t.Context(), one, by); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.store.PutRuntime(t.Context(), mesh.Runtime{Values: map[string]any{}}, by); err != nil {
		t.Fatal(err)
	}
	if got := w.write("PUT", "/api/v1/routes/shop", `{"owner":"team-orders","hosts":["shop.example.com"],"backends":[{"service":"orders","weight":1}]}`); got.status != 200 || !strings.Contains(got.body, `"author"`) {
		t.Fatalf("%d %s", got.status, got.body)
	}
	w.seen()
	owner := w.token(registry.Token{Owners: []string{"team-orders"}})
	other := w.token(registry.Token{Owners: []string{"team-else"}})
	for path, shown := range map[string]map[string]int{ // by token: how many authors
		"/api/v1/services":                   {w.admin: 2, owner: 1, w.token(registry.Token{Service: "web"}): 1},
		"/api/v1/services/orders":            {w.admin: 1, owner: 1},
		"/api/v1/services/web":               {w.admin: 1, owner: 0},
		"/api/v1/routes":                     {w.admin: 1, owner: 1},
		"/api/v1/routes/shop":                {w.admin: 1, owner: 1},
		"/api/v1/runtime":                    {w.admin: 1, owner: 0},
		"/api/v1/proxies":                    {w.admin: 1, owner: 1},
		"/api/v1/proxies/web%2F1/config":     {w.admin: 2, owner: 2},
		"/api/v1/explain?from=web&to=orders": {w.admin: -1, owner: -1}, // some
	} {
		shown[""], shown[other], shown["hdl_0_0"] = 0, 0, 0
		for token, want := range shown {
			var headers []string
			if token != "" {
				headers = []string{"Authorization: Bearer " + token}
			}
			got := w.call("GET", path, "", headers...)
			if found := strings.Count(got.body, `"author"`); got.status != 200 || found != want && (want >= 0 || found == 0) {
				t.Errorf("%s: %d authors, want %d: %d %s", path, found, want, got.status, got.body)
			}
		}
	}
	for token, want := range map[string]int{"": 0, owner: 2, w.admin: 4} {
		found, synced := 0, errors.New("synced")
		err := w.client(token).Events(t.Context(), 0, func(e client.Event) error {
			if e.Type == "synced" {
				return synced
			}
			if change := (mesh.Change{Service: e.Service, Instance: e.Instance, Route: e.Route, Runtime: e.Runtime}); change.Meta().Author != "" {
				found++
			}
			return nil
		})
		if !errors.Is(err, synced) || found != want {
			t.Errorf("the stream tells %d authors, want %d: %v", found, want, err)
		}
	}
}
