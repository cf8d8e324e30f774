package mesh_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestRouteFieldsAreAllChecked(t *testing.T) {
	bad := mesh.Route{
		Name: "Shop", Hosts: []string{"a.example", "A.example.", "*.10.0.0.1", "?"}, Gateways: []mesh.ServiceName{"edge", "edge", "E"},
		Backends: []mesh.WeightedBackend{{Service: "X", Subset: "Y", Weight: -1}}, Rewrite: "x", RewriteHost: "a b", Timeout: 1,
		Auth:      &mesh.RouteAuth{Audience: "a b"},
		Mirror:    &mesh.RouteMirror{Service: "", Subset: "Z", Percent: 101},
		RateLimit: &mesh.RateLimit{Requests: 0, Per: mesh.Duration(time.Millisecond), Burst: -1},
	}
	var paths []string
	for _, fault := range bad.Validate() {
		paths = append(paths, fault.Path)
	}
	want := []string{
		"name", "owner", "hosts[1]", "hosts[2]", "hosts[3]", "gateways[1]", "gateways[2]",
		"backends[0].service", "backends[0].subset", "backends[0].weight", "backends", "rewrite", "rewrite", "rewriteHost", "timeout",
		"auth.provider", "auth.audience", "mirror.service", "mirror.subset", "mirror.percent", "rateLimit.requests", "rateLimit.per", "rateLimit.burst",
	}
	if diff := gocmp.Diff(want, paths); diff != "" {
		t.Errorf("%v\n%s", bad.Validate(), diff)
	}
	for _, path := range []string{"//x", "/x;y", "/x%3By", "/x%2fy", "/x%5Cy"} {
		dead := mesh.Route{
			Name: "shop", Owner: "x", Hosts: []string{"a.example"}, Backends: []mesh.WeightedBackend{{Service: "x", Weight: 1}},
			Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: path}},
		}
		if faults := dead.Validate(); len(faults) != 1 || !strings.Contains(faults.String(), "never matches") {
			t.Errorf("%s: %v", path, faults)
		}
	}
	bad = mesh.Route{Name: "shop", Owner: "x", Hosts: []string{"a.example"}, Backends: []mesh.WeightedBackend{{Service: "x", Weight: 1}}, WholePath: true}
	if faults := bad.Validate().String(); !strings.HasPrefix(faults, "wholePath: says nothing without") {
		t.Error(faults)
	}
	bad.Rewrite = "x"
	if faults := bad.Validate().String(); !strings.HasPrefix(faults, `rewrite: "x" has to begin`) {
		t.Error(faults)
	}
	bad = mesh.Route{
		Name: "shop", Owner: "x", Hosts: []string{"a.example"}, Backends: []mesh.WeightedBackend{{Service: "x", Weight: 1}},
		Redirect: &mesh.Redirect{Host: "?", Port: -1, Path: "/x", Status: 200},
	}
	paths = nil
	for _, fault := range bad.Validate() {
		paths = append(paths, fault.Path)
	}
	if diff := gocmp.Diff([]string{"backends", "redirect.host", "redirect.port", "redirect.path", "redirect.status"}, paths); diff != "" {
		t.Errorf("%v\n%s", bad.Validate(), diff)
	}
}

// A redirect whose target the route matches again sends clients in circles.
func TestRedirectsDoNotLeadBack(t *testing.T) {
	prefix := func(p string) *mesh.PathMatch { return &mesh.PathMatch{Prefix: p} }
	for name, c := range map[string]struct {
		path     *mesh.PathMatch
		redirect mesh.Redirect
		loops    bool
	}{
		"nowhere":                 {nil, mesh.Redirect{}, true},
		"to its host":             {nil, mesh.Redirect{Host: "A.example."}, true},
		"to a host of its star":   {nil, mesh.Redirect{Host: "x.b.example"}, true},
		"to another":              {nil, mesh.Redirect{Host: "b.example"}, false},
		"deeper":                  {prefix("/api"), mesh.Redirect{Path: "/api/v2"}, true},
		"the same, with a slash":  {prefix("/api/"), mesh.Redirect{Path: "/api"}, true},
		"beside":                  {prefix("/api"), mesh.Redirect{Path: "/api2"}, false},
		"everything into a path":  {prefix("/"), mesh.Redirect{Path: "/new"}, true},
		"out of it":               {prefix("/api"), mesh.Redirect{Path: "/"}, false},
		"exact, the same":         {&mesh.PathMatch{Exact: "/a"}, mesh.Redirect{Path: "/a"}, true},
		"exact, deeper":           {&mesh.PathMatch{Exact: "/a"}, mesh.Redirect{Path: "/a/b"}, false},
		"deeper, on another host": {prefix("/api"), mesh.Redirect{Host: "www.example", Path: "/api/v2"}, false},
		"another port":            {nil, mesh.Redirect{Port: 8080}, false},
		"what it matches":         {&mesh.PathMatch{Regex: "/a[0-9]+"}, mesh.Redirect{Path: "/a7"}, true},
		"what it begins":          {&mesh.PathMatch{Regex: "/a[0-9]+"}, mesh.Redirect{Path: "/a7/b"}, false},
	} {
		r := mesh.Route{Name: "r", Owner: "x", Hosts: []string{"a.example", "*.b.example"}, Match: mesh.RequestMatch{Path: c.path}, Redirect: &c.redirect}
		r.WholePath = c.path != nil && c.path.Regex != ""
		faults := r.Validate()
		if (len(faults) > 0) != c.loops {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

// Gateways try exact paths first, then patterns, then long prefixes; methods and
// headers make a route more exact, age decides the rest.
func TestRoutesAreTriedFromTheMostExactOn(t *testing.T) {
	one := func(name string, created int64, m mesh.RequestMatch) *mesh.Route {
		return &mesh.Route{Name: mesh.RouteName(name), Created: created, Match: m}
	}
	path := func(p mesh.PathMatch) *mesh.PathMatch { return &p }
	want := []*mesh.Route{
		one("exact", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Exact: "/a"})}),
		one("regex", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Regex: "/a.*"})}),
		one("long", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Prefix: "/a/b"})}),
		one("method", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Prefix: "/a/"}), Methods: []string{"GET"}}),
		one("headers", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Prefix: "/a"}), Headers: []mesh.HeaderMatch{{Name: "x"}, {Name: "y"}}}),
		one("header", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Prefix: "/a"}), Headers: []mesh.HeaderMatch{{Name: "x"}}}),
		one("queries", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Prefix: "/a"}), Query: []mesh.QueryMatch{{Name: "x"}, {Name: "y"}}}),
		one("query", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Prefix: "/a"}), Query: []mesh.QueryMatch{{Name: "x"}}}),
		one("z-old", 3, mesh.RequestMatch{}),
		one("a", 9, mesh.RequestMatch{Path: path(mesh.PathMatch{Prefix: "/"})}),
		one("b", 9, mesh.RequestMatch{}),
	}
	for range 50 {
		got := slices.Clone(want)
		slices.SortFunc(got, func(a, b *mesh.Route) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(got, mesh.CompareRoutes)
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("place %d has %s, want %s", i, got[i].Name, want[i].Name)
			}
		}
	}
	hides := func(a, b string) bool {
		find := func(name string) *mesh.Route {
			return want[slices.IndexFunc(want, func(r *mesh.Route) bool { return string(r.Name) == name })]
		}
		return find(a).Hides(find(b))
	}
	if !hides("a", "b") || hides("a", "header") || hides("headers", "header") || hides("method", "header") {
		t.Error("what hides what is told wrongly")
	}
	hosts := strings.Fields("*.example *.b.example b.example x.b.example")
	slices.SortFunc(hosts, mesh.CompareHosts)
	if got := strings.Join(hosts, " "); got != "x.b.example b.example *.b.example *.example" {
		t.Errorf("hosts are tried as %s", got)
	}
}
