package insight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// declaredMesh is a view of services with their dependencies.
func declaredMesh(of map[string][]mesh.ServiceName, instances ...mesh.Instance) *catalog.View {
	var changes []mesh.Change
	for name, dependencies := range of {
		changes = append(changes, mesh.Change{Service: &mesh.Service{Name: mesh.ServiceName(name), Owner: "team-" + name, Protocol: mesh.HTTP, Port: 80, Dependencies: dependencies}, Revision: 1})
	}
	for i := range instances {
		changes = append(changes, mesh.Change{Instance: &instances[i], Revision: 1})
	}
	c := catalog.New(catalog.Config{})
	c.Apply(1, true, changes)
	return c.View()
}

func TestDrift(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	view := declaredMesh(map[string][]mesh.ServiceName{"web": {"orders", "old"}, "orders": {"ledger"}, "ledger": {}, "old": {}, "grpc": {"ledger"}, "new": {"ledger"}, "unwatched": {"ledger"}},
		mesh.Instance{ID: "w1", Service: "web", Address: "10.0.0.9", Port: 80})
	seen := insight.Observed{
		Edges: []mesh.Edge{
			{Caller: "web", Callee: "orders", Requests: 9, FirstSeen: ago(50), LastSeen: ago(0)},
			{Caller: "web", Callee: "old", Requests: 5, FirstSeen: ago(50), LastSeen: ago(40)},
			{Caller: "web", Callee: "ledger", Requests: 4, Refused: 4, Undeclared: 4, LastSeen: ago(1), LastRefused: ago(1), Reason: "undeclared"},
			{Caller: "web", Callee: "api.example.org", Requests: 1, Refused: 1, Undeclared: 1, LastSeen: ago(1), LastRefused: ago(1), Reason: "undeclared"},
			{Caller: "web", Callee: "new", Requests: 1, Refused: 1, Undeclared: 1, LastSeen: ago(20), LastRefused: ago(20), Reason: "undeclared"},
			{Caller: "orders", Callee: "ledger", Requests: 8, Refused: 2, Undeclared: 2, LastSeen: ago(0), LastRefused: ago(2), Reason: "undeclared"}, // mended since
			{Caller: "old", Callee: "ledger", Requests: 2, Refused: 2, LastSeen: ago(0), LastRefused: ago(0), Reason: "caller"},
			{Caller: "address/10.0.0.9", Callee: "ledger", Requests: 3, LastSeen: ago(0)},
		},
		Reporters: []insight.Reporter{{Name: "web", Since: ago(50)}, {Name: "orders", Since: ago(50)}, {Name: "new", Since: ago(3)}, {Name: "grpc", Since: ago(50), Blind: ago(1)}},
	}
	watchedThrough := func(at time.Time) {
		for i := range seen.Reporters {
			seen.Reporters[i].Through = at
		}
	}
	watchedThrough(now)
	got := insight.Drift(view, seen, insight.DriftOptions{Now: now})
	want := []string{
		"undeclared web api.example.org 1 false nobody declares a service of that name",
		"undeclared web ledger 4 true heddle drift --declare web ledger",
		"refused old ledger 2 true caller",
		"unused web old 5 false not called since 2026-10-12; watching since 2026-10-02",
		"unseen grpc ledger 0 false gRPC clients without a sidecar",
		"unseen new ledger 0 false not observed yet; watching since 2026-11-18",
		"unseen unwatched ledger 0 false no sidecar of unwatched has been watched yet",
		"plain address/10.0.0.9 ledger 3 false instances of web",
	}
	if len(got.Items) != len(want) || !got.Since.Equal(ago(50)) {
		t.Fatalf("%+v", got)
	}
	for i, item := range got.Items {
		part := strings.SplitN(want[i], " ", 6)
		text := item.Message + " " + item.Mend
		if string(item.Kind) != part[0] || item.Caller != part[1] || item.Callee != part[2] || !strings.Contains(text, part[5]) || item.Declarable != (part[4] == "true") {
			t.Errorf("%+v\nwant %s", item, want[i])
		}
	}
	watchedThrough(ago(-30))
	if later := insight.Drift(view, seen, insight.DriftOptions{Now: ago(-30)}); later.Items[0].Kind != mesh.DriftUnused {
		t.Errorf("a month later attempts do not count: %+v", later.Items[0])
	}
	if of := insight.Drift(view, seen, insight.DriftOptions{Now: now, Service: "new"}); len(of.Items) != 1 {
		t.Errorf("%+v", of)
	}
}

// TestAMendedRefusalIsNotShown: calls that are answered since tell that it is mended,
// in the drift and in the topology. Where some are refused still, it is not.
func TestAMendedRefusalIsNotShown(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		enforcement       mesh.Enforcement
		refused, answered time.Time
		shown             bool
	}{
		"never answered":            {"", ago(60), time.Time{}, true},
		"answered before":           {"", ago(60), ago(90), true},
		"answered since":            {"", ago(60), ago(58), false},
		"some are refused still":    {"", ago(3), ago(1), true},
		"noted":                     {mesh.Observe, ago(60), ago(58), true},
		"noted, and answered since": {mesh.Warn, ago(60), ago(30), false},
	} {
		t.Run(name, func(t *testing.T) {
			orders := mesh.Service{Name: "orders", Protocol: mesh.HTTP, Port: 80, Access: mesh.Access{Enforcement: c.enforcement}}
			web := mesh.Service{Name: "web", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{"orders"}}
			view := view(mesh.Change{Service: &orders}, mesh.Change{Service: &web})
			seen := []mesh.Edge{{Caller: "web", Callee: "orders", Requests: 9, Refused: 1, FirstSeen: ago(600), LastSeen: now, LastRefused: c.refused, LastAnswered: c.answered, Reason: "caller"}}
			drift := insight.Drift(view, insight.Observed{Edges: seen}, insight.DriftOptions{Now: now})
			topology, err := insight.Topology(view, insight.Observed{Edges: seen}, insight.TopologyOptions{Now: now})
			if err != nil || (len(drift.Items) == 1) != c.shown || (topology.Edges[0].State == mesh.EdgeRefused) != c.shown {
				t.Errorf("drift %+v, topology %+v, %v", drift.Items, topology.Edges, err)
			}
		})
	}
}

// TestNothingIsUnusedThatWasNotWatched: of an edge that may be alive nothing is claimed.
func TestNothingIsUnusedThatWasNotWatched(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	view := declaredMesh(map[string][]mesh.ServiceName{"web": {"orders"}, "orders": {}})
	old := mesh.Edge{Caller: "web", Callee: "orders", Requests: 9, FirstSeen: ago(90), LastSeen: ago(60)}
	for name, c := range map[string]struct {
		edges []mesh.Edge
		of    insight.Reporter
		want  mesh.DriftKind
	}{
		"watched":                 {[]mesh.Edge{old}, insight.Reporter{Since: ago(40), Through: now}, mesh.DriftUnused},
		"after a gap":             {[]mesh.Edge{old}, insight.Reporter{Since: ago(3), Through: now}, mesh.DriftUnseen},
		"not any more":            {[]mesh.Edge{old}, insight.Reporter{Since: ago(80), Through: ago(1)}, mesh.DriftUnseen},
		"never":                   {[]mesh.Edge{old}, insight.Reporter{}, mesh.DriftUnseen},
		"by a gRPC client":        {[]mesh.Edge{old}, insight.Reporter{Since: ago(80), Through: now, Blind: ago(20)}, mesh.DriftUnseen},
		"among too many":          {[]mesh.Edge{old, {Caller: "web", Callee: "(other)", LastSeen: ago(20)}}, insight.Reporter{Since: ago(80), Through: now}, mesh.DriftUnseen},
		"among too many long ago": {[]mesh.Edge{old, {Caller: "web", Callee: "(other)", LastSeen: ago(50)}}, insight.Reporter{Since: ago(80), Through: now}, mesh.DriftUnused},
	} {
		c.of.Name = "web"
		got := insight.Drift(view, insight.Observed{Edges: c.edges, Reporters: []insight.Reporter{c.of}}, insight.DriftOptions{Now: now})
		if len(got.Items) != 1 || got.Items[0].Kind != c.want {
			t.Errorf("%s: %+v", name, got.Items)
		}
	}
}

// TestAMendNamesImportWhereItProposes: and something else wherever it would not.
func TestAMendNamesImportWhereItProposes(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	declared := map[string][]mesh.ServiceName{"web": {}, "taken-example-org": {}}
	var services []mesh.Service
	for name, dependencies := range declared {
		services = append(services, mesh.Service{Name: mesh.ServiceName(name), Owner: "team", Protocol: mesh.HTTP, Port: 80, Dependencies: dependencies})
	}
	for callee, says := range map[string]string{
		"api.example.org": "heddle import --service web", "taken.example.org": `ask for the host "taken-example-org"`, "(other)": "access log", "short": "its owner has to declare it",
		"10.0.0.1": "endpoints.static", "[::1]": "endpoints.static", "bad_host.example": "no service can have that name",
		strings.Repeat("a", 70) + ".example": "no service can have that name",
	} {
		edge := mesh.Edge{Caller: "web", Callee: callee, Requests: 1, Refused: 1, Undeclared: 1, LastSeen: now, LastRefused: now, Reason: "undeclared"}
		got := insight.Drift(declaredMesh(declared), insight.Observed{Edges: []mesh.Edge{edge}}, insight.DriftOptions{Now: now})
		if len(got.Items) != 1 || !strings.Contains(got.Items[0].Mend, says) {
			t.Fatalf("%s: %+v", callee, got.Items)
		}
		proposed, named := len(insight.Propose(services, got)) > 0, strings.Contains(got.Items[0].Mend, "heddle import")
		if proposed != named {
			t.Errorf("%s: import proposes something: %v; the mend names it: %s", callee, proposed, got.Items[0].Mend)
		}
	}
}

func TestProposalsAllowWhatWasAttempted(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	services := []mesh.Service{
		{Name: "web", Owner: "team-web", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{"orders"}},
		{Name: "orders", Owner: "team-shop", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{}},
		{Name: "ledger", Owner: "team-shop", Protocol: mesh.TCP, Port: 80, Dependencies: []mesh.ServiceName{}},
	}
	item := func(callee string) mesh.DriftItem {
		return mesh.DriftItem{Kind: mesh.DriftUndeclared, Caller: "web", Callee: callee, Count: 2, LastRefused: at}
	}
	got := insight.Propose(services, mesh.Drift{Items: []mesh.DriftItem{
		item("ledger"), item("api.example.org"), item("(other)"), item("10.0.0.1"), item("short"), item("[::1]"), item("bad_host.example"),
		{Kind: mesh.DriftPlain, Caller: "address/10.0.0.9", Callee: "orders", Message: "10.0.0.9 calls orders in plain text", Count: 1, LastSeen: at},
		{Kind: mesh.DriftUnused, Caller: "web", Callee: "orders"},
	}})
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	for i, name := range []mesh.ServiceName{"api-example-org", "orders", "web"} {
		if got[i].Service.Name != name || len(got[i].Why) == 0 {
			t.Errorf("%+v, want %s", got[i], name)
		}
		if faults := got[i].Service.Validate(); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
	if web := got[2]; len(web.Service.Dependencies) != 3 || len(services[0].Dependencies) != 1 || !strings.Contains(strings.Join(web.Why, " "), `ask for the host "api-example-org"`) {
		t.Errorf("%+v", web)
	}
}
