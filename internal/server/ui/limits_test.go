package ui_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

func TestAFormThatHoldsTooMuchIsRefused(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	fields := func(n int, name string) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(name, i), "1")
		}
		return out
	}
	names := func(n int) string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprint("s", i)
		}
		return strings.Join(out, "\n")
	}
	for name, c := range map[string]struct {
		token  string
		path   string
		posted []string
		status int
		want   string
	}{
		"as many names as there may be": {s.admin, editOrders, []string{"dependencies", names(1100)}, 200, "s1099"},
		"names":                         {s.admin, editOrders, []string{"dependencies", names(1101)}, 422, "Dependencies has 1101 names"},
		"rules":                         {s.admin, editOrders, fields(201, "routes[%d]#row"), 422, "Rules has 201 rows"},
		"as many addresses":             {s.admin, editOrders, append([]string{"endpoints#which", "static"}, fields(900, "endpoints.static[%d]#row")...), 200, "Address 900"},
		"rows in a row":                 {s.admin, editOrders, append([]string{"routes[0]#row", ""}, fields(201, "routes[0].match.headers[%d]#row")...), 422, "Headers has 201 rows"},
		"fields":                        {s.admin, editOrders, fields(4001, "a%d"), 422, "fields"},
		"what it was opened with":       {s.admin, editOrders, []string{"~base", `{"dependencies":["` + strings.ReplaceAll(names(2000), "\n", `","`) + `"]}`}, 422, "opened with"},
		"a link":                        {s.admin, "", fields(300, "routes[%d]#row"), 422, "Rules has 300 rows"},
		"more than 1 MiB":               {s.admin, editOrders, []string{"description", strings.Repeat("x", 1<<20)}, 413, "1 MiB"},
		"a large form":                  {s.admin, editOrders, []string{"description", strings.Repeat("x", 100<<10)}, 200, "xxx"},
		"a large form of nobody":        {"", editOrders, []string{"description", strings.Repeat("x", 100<<10)}, 413, "64 KiB"},
		"a form of nobody":              {"", editOrders, []string{"description", strings.Repeat("x", 10<<10)}, 401, "xxx"},
		"a large sign-in":               {s.admin, "/ui/sign-in", []string{"token", strings.Repeat("x", 100<<10)}, 413, "64 KiB"},
		"a large decision":              {s.admin, "/ui/services/orders/callers", []string{"caller", strings.Repeat("x", 100<<10)}, 413, "64 KiB"},
		"a large deletion":              {s.admin, "/ui/services/orders/delete", []string{"~force", strings.Repeat("x", 100<<10)}, 413, "64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			var got reply
			if c.path == "" {
				var query []string
				for i := 0; i < len(c.posted); i += 2 {
					query = append(query, strings.NewReplacer("#", "%23", "[", "%5B", "]", "%5D").Replace(c.posted[i])+"="+c.posted[i+1])
				}
				got = s.get(c.token, "/ui/declare/service?"+strings.Join(query, "&"))
			} else {
				got = s.post(c.token, c.path, append(c.posted, "~do", "show")...)
			}
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("%d, want %d with %q: %.2000s", got.status, c.status, c.want, got.body)
			}
		})
	}
}

// A page tells of so many faults, however many there are.
func TestAThousandFaultsAreNotAllTold(t *testing.T) {
	s := newSite(t)
	got := s.post(s.admin, "/ui/declare/service", "~do", "review", "dependencies", strings.Repeat("NO\nNo\n", 500))
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "more.") || strings.Count(got.body, `class="fault"`) > 250 {
		t.Errorf("%d, %d faults are told", got.status, strings.Count(got.body, `class="fault"`))
	}
}

func TestNothingIsComputedForWhoMayNotWrite(t *testing.T) {
	s := newSite(t, func(c *ui.Config) {
		c.Mesh = func() insight.Mesh { t.Error("a plan was made"); return insight.Mesh{View: c.Catalog.View()} }
	})
	s.declare(mesh.Service{Name: "orders"})
	reader := s.token(registry.Token{Kind: registry.ReaderToken})
	other := s.token(registry.Token{Owners: []string{"team-other"}})
	limited := s.token(registry.Token{Service: "orders"})
	for _, path := range []string{"/ui/declare/service", "/ui/declare/route", "/ui/declare/instance", editOrders} {
		if got := s.get(reader, path); got.status != http.StatusForbidden {
			t.Errorf("a reader opens %s: %d", path, got.status)
		}
	}
	for _, c := range []struct{ token, path string }{{reader, "/ui/declare/service"}, {reader, "/ui/declare/route"}, {reader, editOrders}, {other, editOrders}, {limited, "/ui/declare/route"}} {
		got := s.post(c.token, c.path, "~do", "review", "name", "orders", "owner", "team-shop", "protocol", "http", "port", "80", "dependencies#which", "nothing", "description", "kept")
		if got.status != http.StatusForbidden || c.path != "/ui/declare/route" && !strings.Contains(got.body, ">\nkept</textarea>") {
			t.Errorf("%s: %d: %s", c.path, got.status, got.body)
		}
	}
}
