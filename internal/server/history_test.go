package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestHistoryAndRollbackOfAService(t *testing.T) {
	w := newWorld(t)
	c, ctx := w.client(w.admin), t.Context()
	of := client.Kept{Kind: "services", Name: "orders"}
	if _, err := c.History(ctx, of); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("of nothing: %v", err)
	}
	w.declare(orders)
	second := service("orders", "payments")
	second.Description = "<b>Bücher & „mehr“</b>"
	changed, err := c.PutService(ctx, second)
	if err != nil {
		t.Fatal(err)
	}
	states, err := c.History(ctx, of)
	if err != nil || len(states) != 2 || !states[0].Present || states[0].Revision != changed.Meta.Revision || fmt.Sprint(states[0].Changed) != "[description owner]" || states[1].Action != "create" || states[1].Object != nil {
		t.Fatalf("%+v, %v", states, err)
	}
	first, err := c.HistoryAt(ctx, of, states[1].Revision)
	var was mesh.Service
	if err != nil || json.Unmarshal(first.Object, &was) != nil || was.Owner != "team-shop" || was.Meta.Revision != states[1].Revision {
		t.Errorf("%+v, %v", first, err)
	}
	if _, err := c.Rollback(ctx, of, states[1].Revision, states[1].Revision); mesh.ReasonOf(err) != mesh.ReasonStale {
		t.Errorf("over a stale revision: %v", err)
	}
	at, err := c.Rollback(ctx, of, states[1].Revision, changed.Meta.Revision)
	if err != nil || at <= changed.Meta.Revision {
		t.Fatalf("%d, %v", at, err)
	}
	if got, err := c.Service(ctx, "orders"); err != nil || got.Owner != "team-shop" || got.Description != "" || got.Meta.Revision != at {
		t.Errorf("rolled back it is %+v, %v", got, err)
	}
	audit := w.write("GET", "/api/v1/audit?object=service/orders&limit=1", "")
	if want := fmt.Sprintf(`"previous":%d`, changed.Meta.Revision); !strings.Contains(audit.body, `"action":"rollback"`) || !strings.Contains(audit.body, want) || !strings.Contains(audit.body, fmt.Sprintf(`"to":%d`, states[1].Revision)) {
		t.Errorf("the audit says %s", audit.body)
	}
	// A deletion is rolled back too.
	if err := c.DeleteService(ctx, "orders", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rollback(ctx, of, changed.Meta.Revision, 0); err != nil {
		t.Errorf("after the deletion: %v", err)
	}
	if _, err := c.Rollback(ctx, of, states[1].Revision, 0); mesh.ReasonOf(err) != mesh.ReasonExists {
		t.Errorf("over what was declared anew since: %v", err)
	}
	states, err = c.History(ctx, of)
	if err != nil || len(states) != 5 || states[0].Action != "rollback" || states[0].To != changed.Meta.Revision || !states[1].Deleted || states[1].Present {
		t.Errorf("%+v, %v", states, err)
	}
	for _, test := range []struct {
		body   string
		status int
		says   string
	}{
		{`{}`, 422, "to: is required"},
		{`{"to":-1}`, 422, "to"},
		{`{"to":"previous"}`, 422, "to"},
		{`{"to":1}`, 404, "service orders has no revision 1 in its history: 5 are kept"},
		{fmt.Sprintf(`{"to":%d}`, states[0].Revision), 422, "is what is in force already"},
		{fmt.Sprintf(`{"to":%d}`, states[1].Revision), 422, "is its deletion"},
		{`{"to":5,"force":true}`, 422, "force"},
		{`nonsense`, 400, ""},
	} {
		got := w.write("POST", "/api/v1/services/orders/rollback", test.body)
		if got.status != test.status || !strings.Contains(strings.ReplaceAll(got.body, `"path":"to","message":"`, `to: `), test.says) {
			t.Errorf("%s: %d %s", test.body, got.status, got.body)
		}
	}
	if got := w.write("GET", "/api/v1/services/orders/history?revision=1", ""); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestARollbackIsJudgedAsOfNow by the rights of now and by what is valid now.
func TestARollbackIsJudgedAsOfNow(t *testing.T) {
	w := newWorld(t)
	c, ctx := w.client(w.admin), t.Context()
	of := client.Kept{Kind: "services", Name: "orders"}
	theirs := service("orders")
	theirs.Owner, theirs.ListenerPort = "team-a", 9000
	first, err := c.PutService(ctx, theirs)
	if err != nil {
		t.Fatal(err)
	}
	handed := service("orders")
	handed.Owner = "team-b"
	second, err := c.PutService(ctx, handed)
	if err != nil {
		t.Fatal(err)
	}
	third, err := c.PutService(ctx, handed)
	if err != nil {
		t.Fatal(err)
	}
	b := w.client(w.token(registry.Token{Owners: []string{"team-b"}}))
	if _, err := b.Rollback(ctx, of, first.Meta.Revision, 0); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("to what belonged to another owner: %v", err)
	}
	a := w.client(w.token(registry.Token{Owners: []string{"team-a"}}))
	if _, err := a.Rollback(ctx, of, first.Meta.Revision, 0); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("by its former owner: %v", err)
	}
	if _, err := b.Rollback(ctx, of, second.Meta.Revision, third.Meta.Revision); err != nil {
		t.Errorf("by its owner: %v", err)
	}
	// Port 9000 is another's by now, and web calls both.
	other := service("other")
	other.ListenerPort = 9000
	for _, one := range []mesh.Service{other, service("web", "orders", "other")} {
		if _, err := c.PutService(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	w.seen()
	_, err = c.Rollback(ctx, of, first.Meta.Revision, 0)
	if mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "it would be refused now") || !strings.Contains(err.Error(), "listenerPort") {
		t.Errorf("to a port that is taken: %v", err)
	}
}

func TestHistoryAndRollbackOfRoutesAndRuntime(t *testing.T) {
	w := newWorld(t)
	c, ctx := w.client(w.admin), t.Context()
	runtime := client.Kept{Kind: "runtime"}
	if states, err := c.History(ctx, runtime); err != nil || len(states) != 0 {
		t.Errorf("never written: %v, %v", states, err)
	}
	route := mesh.Route{Name: "shop", Owner: "team", Hosts: []string{"shop.example.com"}, Redirect: &mesh.Redirect{Host: "www.example.com"}}
	for _, host := range []string{"www.example.com", "other.example.com"} {
		route.Redirect = &mesh.Redirect{Host: host}
		if _, err := c.PutRoute(ctx, route); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{"key": host}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, of := range []client.Kept{{Kind: "routes", Name: "shop"}, runtime} {
		states, err := c.History(ctx, of)
		if err != nil || len(states) != 2 {
			t.Fatalf("%+v: %v, %v", of, states, err)
		}
		if _, err := c.Rollback(ctx, of, states[1].Revision, states[0].Revision); err != nil {
			t.Errorf("%+v: %v", of, err)
		}
	}
	if got, err := c.Route(ctx, "shop"); err != nil || got.Redirect.Host != "www.example.com" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Runtime(ctx); err != nil || got.Values["key"] != "www.example.com" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A history tells who wrote what, which the audit shows to admins and owners alone.
func TestAHistoryIsShownAsTheAuditIs(t *testing.T) {
	w := newWorld(t)
	theirs := service("orders")
	for _, owner := range []string{"team-a", "team-b", "team-b"} {
		theirs.Owner = owner
		if _, err := w.client(w.admin).PutService(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.write("PUT", "/api/v1/runtime", `{"values":{}}`); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	const orders, runtime = "/api/v1/services/orders/history", "/api/v1/runtime/history"
	owner := func(name string) string { return w.token(registry.Token{Owners: []string{name}}) }
	for name, c := range map[string]struct {
		token, path    string
		status, states int
	}{
		"nobody":           {"", orders, 401, 0},
		"nobody, one":      {"", orders + "?revision=1", 401, 0},
		"nobody, runtime":  {"", runtime, 401, 0},
		"admin":            {w.admin, orders, 200, 3},
		"owner":            {owner("team-b"), orders, 200, 2},
		"former owner":     {owner("team-a"), orders, 200, 2},
		"other owner":      {owner("team-c"), orders, 403, 0},
		"its own token":    {w.token(registry.Token{Service: "orders"}), orders, 200, 3},
		"another's token":  {w.token(registry.Token{Service: "web"}), orders, 403, 0},
		"owner of nothing": {owner("team-b"), runtime, 403, 0},
		"admin, runtime":   {w.admin, runtime, 200, 1},
	} {
		var headers []string
		if c.token != "" {
			headers = []string{"Authorization: Bearer " + c.token}
		}
		if got := w.call("GET", c.path, "", headers...); got.status != c.status || strings.Count(got.body, `"author"`) != c.states {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}
