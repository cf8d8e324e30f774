package insight_test

import (
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestDriftTopologyAndImpactAgreeOnSilence: none of them says that a dependency is out
// of use which may be in use by somebody whom nobody can watch.
func TestDriftTopologyAndImpactAgreeOnSilence(t *testing.T) {
	ago := func(days int) time.Time { return now.Add(-time.Duration(days) * day) }
	long := insight.Reporter{Since: ago(80), Through: now}
	old := mesh.Edge{Caller: "lib", Callee: "orders", Requests: 9, FirstSeen: ago(90), LastSeen: ago(60)}
	for name, c := range map[string]struct {
		seen     []mesh.Edge
		of       insight.Reporter
		declared time.Time
		silent   bool
	}{
		"watched, never called":        {nil, long, ago(70), true},
		"watched, not called any more": {[]mesh.Edge{old}, long, ago(70), true},
		"changed since it called last": {[]mesh.Edge{old}, long, ago(1), true},
		"declared a day ago":           {nil, long, ago(1), false},
		"a gRPC library":               {nil, insight.Reporter{Blind: ago(1)}, ago(70), false},
		"a gRPC library among others":  {nil, insight.Reporter{Since: ago(80), Through: now, Blind: ago(1)}, ago(70), false},
		"a gRPC library long ago":      {nil, insight.Reporter{Since: ago(80), Through: now, Blind: ago(50)}, ago(70), true},
		"never watched":                {nil, insight.Reporter{}, ago(70), false},
		"watched for days":             {[]mesh.Edge{old}, insight.Reporter{Since: ago(3), Through: now}, ago(70), false},
		"not watched any more":         {[]mesh.Edge{old}, insight.Reporter{Since: ago(80), Through: ago(2)}, ago(70), false},
		"calls too many to count":      {[]mesh.Edge{{Caller: "lib", Callee: "(other)", FirstSeen: ago(80), LastSeen: ago(1)}}, long, ago(70), false},
	} {
		t.Run(name, func(t *testing.T) {
			lib := service("lib", "orders")
			lib.Service.Meta.UpdatedAt = c.declared
			c.of.Name = "lib"
			// Others were watched all the time, which says nothing of this caller.
			seen := insight.Observed{Edges: append(c.seen, mesh.Edge{Caller: "web", Callee: "orders", Requests: 1, FirstSeen: ago(90), LastSeen: now}), Reporters: append(watched("web"), c.of)}
			v := view(lib, service("orders"), service("web", "orders"))
			drift := insight.Drift(v, seen, insight.DriftOptions{Now: now, Service: "lib"})
			topology, err := insight.Topology(v, seen, insight.TopologyOptions{Now: now, Focus: "lib", Depth: 1})
			if err != nil {
				t.Fatal(err)
			}
			impact := felt(t, insight.Mesh{View: v}, "orders", nil, seen)
			kind, state, traffic := mesh.DriftUnseen, mesh.EdgeDeclared, "unknown"
			if c.silent {
				kind, state, traffic = mesh.DriftUnused, mesh.EdgeUnused, "never"
			}
			if len(c.seen) > 0 && c.seen[0] == old {
				traffic = "seen" // and when
			}
			if drift.Items[0].Kind != kind || topology.Edges[0].State != state || impact.Callers[0].Traffic != traffic {
				t.Errorf("drift says %s, topology %s, impact %s; want %s, %s, %s", drift.Items[0].Kind, topology.Edges[0].State, impact.Callers[0].Traffic, kind, state, traffic)
			}
		})
	}
}

// TestAGatewayIsSilentLikeAService: its route counts as the declaration.
func TestAGatewayIsSilentLikeAService(t *testing.T) {
	for days, want := range map[int]mesh.EdgeState{1: mesh.EdgeDeclared, 60: mesh.EdgeUnused} {
		shop := mesh.Change{Route: &mesh.Route{Name: "shop", Gateways: []mesh.ServiceName{"edge"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}, Meta: mesh.Meta{UpdatedAt: now.Add(-time.Duration(days) * day)}}}
		got, err := insight.Topology(view(service("web"), shop), insight.Observed{Reporters: watched("gateway/edge")}, insight.TopologyOptions{Now: now})
		if err != nil || got.Edges[0].State != want {
			t.Errorf("a route of %d days: %+v, %v", days, got.Edges, err)
		}
	}
}

// TestCallersWithoutANameAreNoNodes: they are the drift's alone.
func TestCallersWithoutANameAreNoNodes(t *testing.T) {
	v := view(service("web", "orders"), service("orders"))
	seen := insight.Observed{Edges: []mesh.Edge{{Caller: "address/10.0.0.9", Callee: "orders", Requests: 3, Refused: 3, FirstSeen: now, LastSeen: now, LastRefused: now, Reason: "plain"}}}
	got, err := insight.Topology(v, seen, insight.TopologyOptions{Now: now})
	if err != nil || nodesOf(got) != "orders web" {
		t.Errorf("%s, %v", nodesOf(got), err)
	}
	if impact := felt(t, insight.Mesh{View: v}, "orders", nil, seen); len(impact.Callers) != 1 {
		t.Errorf("%+v", impact.Callers)
	}
}
