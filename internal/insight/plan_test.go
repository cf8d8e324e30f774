package insight_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

func planned(t *testing.T, m insight.Mesh, changes []mesh.Change) mesh.Plan {
	t.Helper()
	plan, err := insight.Plan(t.Context(), m, changes)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func felt(t *testing.T, m insight.Mesh, name mesh.ServiceName, changed *mesh.Service, seen insight.Observed) mesh.Impact {
	t.Helper()
	m.Now = now
	impact, err := insight.Impact(t.Context(), m, name, changed, seen)
	if err != nil {
		t.Fatal(err)
	}
	return impact
}

// A plan of a mesh in which everybody is concerned tells some in full, counts the
// others, and stops when nobody waits for it any more.
func TestPlansHaveBounds(t *testing.T) {
	changes := []mesh.Change{has("orders", nil)}
	for n := range insight.MostInFull + 5 {
		changes = append(changes, has(fmt.Sprintf("caller-%03d", n), nil, "orders"))
	}
	m := explained(changes...)
	orders, _ := m.View.Service("orders")
	plan := planned(t, m, []mesh.Change{{Service: orders, Deleted: true}})
	if len(plan.Sidecars) != insight.MostInFull+6 || !strings.Contains(plan.Cut, "of 6 of the 206 sidecars") {
		t.Fatalf("%d sidecars, %q", len(plan.Sidecars), plan.Cut)
	}
	if first, last := plan.Sidecars[0], plan.Sidecars[len(plan.Sidecars)-1]; len(first.Changes) == 0 || first.Changes[0].Diff == "" || len(last.Changes) != 0 || last.Summary == "" {
		t.Errorf("the first is %+v, the last %+v", first, last)
	}
	// A declaration of hundreds of long routes is sent to each of its callers.
	big := has("orders", func(s *mesh.Service) {
		for n := range 300 {
			s.Routes = append(s.Routes, mesh.RouteRule{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: fmt.Sprintf("/%d/%s", n, strings.Repeat("x", 900))}}})
		}
	})
	size := 0
	plan = planned(t, m, []mesh.Change{big})
	for _, one := range plan.Sidecars {
		for _, change := range one.Changes {
			size += len(change.Diff)
		}
	}
	if plan.Cut == "" || size < 3<<20 || size > 4<<20 {
		t.Errorf("%d bytes of differences, %q", size, plan.Cut)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := insight.Plan(gone, m, []mesh.Change{big}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its client left: %v", err)
	}
}

func TestPlanSaysWhatSidecarsWouldBeSent(t *testing.T) {
	m := explained(has("web", nil, "orders"), has("shop", nil, "orders"), has("orders", nil, "stock"), has("stock", nil), has("far", nil, "stock"), runs("orders", ""))
	web := func(id string, port mesh.Port) insight.Proxy {
		return insight.Proxy{Node: "web/" + id, Scope: translate.ScopeOf(mesh.Proxy{Service: "web", Instance: mesh.InstanceID(id), OutboundPort: port})}
	}
	m.Proxies = connected(web("1", 1001), web("2", 1002))
	changed := has("orders", func(s *mesh.Service) {
		s.Traffic.Timeout = mesh.Duration(time.Second)
		s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/api"}}}}
	}, "stock")
	plan := planned(t, m, []mesh.Change{changed})
	var got []string
	for _, one := range plan.Sidecars {
		got = append(got, one.Name+": "+one.Summary)
	}
	if strings.Join(got, "; ") != "shop: 1 route table changed; web: 1 route table changed" || plan.Sidecars[1].Proxies != 2 || plan.Unchanged != 2 {
		t.Fatalf("%q, web has %d proxies, %d unchanged", got, plan.Sidecars[1].Proxies, plan.Unchanged)
	}
	diff := plan.Sidecars[1].Changes[0].Diff
	for _, want := range []string{"\n+", `"path_separated_prefix": "/api"`, `"timeout": "1s"`, "\n-", `"timeout": "15s"`, "@@"} {
		if !strings.Contains(diff, want) {
			t.Errorf("%q is missing in\n%s", want, diff)
		}
	}
	if again := planned(t, m, []mesh.Change{changed}); again.Sidecars[1].Changes[0].Diff != diff {
		t.Error("the same plan is written otherwise")
	}
	if same := planned(t, m, []mesh.Change{has("orders", nil, "stock")}); len(same.Sidecars) != 0 {
		t.Errorf("what is there already changes %+v", same.Sidecars)
	}
	if s, _ := m.View.Service("orders"); s.Traffic.Timeout != 0 {
		t.Error("the plan has changed the view")
	}
}

func TestPlanWarnsAndTellsProblems(t *testing.T) {
	tcp := func(s *mesh.Service) { s.Protocol = mesh.TCP }
	m := explained(has("web", nil, "one", "two"), has("one", tcp), has("two", nil))
	plan := planned(t, m, []mesh.Change{has("two", tcp), has("one", tcp, "web")})
	if len(plan.Warnings) == 0 || plan.Warnings[0].Code != mesh.WarnCycle {
		t.Errorf("warnings %+v", plan.Warnings)
	}
	if len(plan.Problems) != 1 || !strings.Contains(plan.Problems[0].Message, "is left out") {
		t.Errorf("problems %+v", plan.Problems)
	}
	view := m.View
	if _, faults := insight.Changes(view, &mesh.PlanRequest{Delete: []string{"service/one", "service/none", "instance/x"}}); len(faults) != 2 {
		t.Errorf("faults %v", faults)
	}
}

// Users outside feel it, too, who come in by a service that only calls the one that
// calls it.
func TestImpactFindsGatewaysBehindCallers(t *testing.T) {
	route := func(name string, gateways []mesh.ServiceName, services ...mesh.ServiceName) mesh.Change {
		r := &mesh.Route{Name: mesh.RouteName(name), Owner: "team-" + name, Hosts: []string{name + ".example.com"}, Gateways: gateways}
		for _, s := range services {
			r.Backends = append(r.Backends, mesh.WeightedBackend{Service: s, Weight: 1})
		}
		return mesh.Change{Route: r}
	}
	m := explained(has("front", nil, "web"), has("web", nil, "orders"), has("orders", nil), has("other", nil), runs("orders", ""),
		route("shop", []mesh.ServiceName{"edge"}, "front"), route("direct", []mesh.ServiceName{"inner"}, "orders", "web"), route("all", nil, "web"), route("else", []mesh.ServiceName{"else"}, "other"))
	got := felt(t, m, "orders", nil, insight.Observed{Reporters: watched("web"), Edges: []mesh.Edge{
		{Caller: "gateway/seen", Callee: "web", Declared: true, LastSeen: time.Unix(1000, 0)}, {Caller: "gateway/inner", Callee: "orders", Declared: true, LastSeen: time.Unix(1000, 0)},
	}})
	var callers, routes []string
	for _, c := range got.Callers {
		callers = append(callers, fmt.Sprintf("%s %d %s %s %v", c.Name, c.Distance, c.Via, c.Traffic, c.Declared))
	}
	for _, r := range got.Routes {
		routes = append(routes, string(r.Name)+" "+string(r.Via))
	}
	if c := strings.Join(callers, ";"); c != "gateway/inner 1  seen true;web 1  never true;front 2 web  true;gateway/seen 2 web  true;gateway/edge 3 front  true" {
		t.Errorf("callers %q", c)
	}
	if r := strings.Join(routes, ";"); r != "direct ;all web;shop front" {
		t.Errorf("routes %q", r)
	}
	if strings.Join(got.Owners, " ") != "team-direct" {
		t.Errorf("owners %q", got.Owners)
	}
	if want := "the deletion of orders concerns 2 direct callers, 3 further away, and 1 route, and 2 routes to callers of it"; got.Summary != want {
		t.Errorf("%s", got.Summary)
	}
}

func TestImpactFindsWhoIsHurt(t *testing.T) {
	m := explained(has("web", nil, "orders"), has("shop", nil, "orders"), has("orders", nil), has("app", nil, "web"), has("top", nil, "app", "orders"), runs("orders", ""), shop("orders"))
	seen := []mesh.Edge{
		{Caller: "web", Callee: "orders", LastSeen: time.Unix(1000, 0), RequestRate: 2}, {Caller: "rogue", Callee: "orders", LastSeen: time.Unix(1000, 0)},
	}
	got := felt(t, m, "orders", nil, insight.Observed{Edges: seen, Reporters: watched("web", "shop", "top")})
	var callers []string
	for _, c := range got.Callers {
		callers = append(callers, c.Name+" "+c.Traffic+" "+string(c.Via))
	}
	if strings.Join(callers, ";") != "rogue seen ;shop never ;top never ;web seen ;app  web" {
		t.Errorf("callers %q", callers)
	}
	if len(got.Routes) != 1 || len(got.Owners) != 0 || !strings.Contains(got.Summary, "the deletion of orders concerns 4 direct callers, 1 further away, and 1 route") {
		t.Errorf("%s; %+v %v", got.Summary, got.Routes, got.Owners)
	}
	names := map[string]string{}
	for _, s := range got.Plan.Sidecars {
		names[s.Name] = s.Summary
	}
	if names["web"] != "1 cluster removed, 1 endpoint list removed, 1 route table changed" {
		t.Errorf("what sidecars lose: %v", names)
	}
	if got := felt(t, m, "orders", nil, insight.Observed{}); got.Callers[0].Traffic != "unknown" {
		t.Errorf("without reports: %+v", got.Callers)
	}
	if got := felt(t, m, "nobody", nil, insight.Observed{}); !strings.Contains(got.Summary, "concerns nobody") {
		t.Errorf("of nobody: %s", got.Summary)
	}
}
