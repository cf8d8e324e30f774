package insight_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// around cuts the picture of the whole mesh to what is near a node.
func around(whole mesh.Topology, focus string, depth int) (nodes []string, edges []mesh.TopologyEdge) {
	near := map[string]bool{focus: true}
	for _, backwards := range []bool{false, true} {
		reached := map[string]bool{focus: true}
		for range depth {
			for name := range maps.Clone(reached) {
				for _, e := range whole.Edges {
					from, to := e.From, e.To
					if backwards {
						from, to = to, from
					}
					if from == name {
						reached[to], near[to] = true, true
					}
				}
			}
		}
	}
	for _, e := range whole.Edges {
		if near[e.From] && near[e.To] {
			edges = append(edges, e)
		}
	}
	return slices.Sorted(maps.Keys(near)), edges
}

// The picture around a node is made without that of the whole mesh, and has to be
// a part of it all the same.
func TestAFocusIsAPartOfTheWhole(t *testing.T) {
	propertytest.Check(t, func(t *rapid.T) {
		name := func(label string) string {
			return fmt.Sprintf("s%d", rapid.IntRange(0, 11).Draw(t, label))
		}
		var changes []mesh.Change
		for i := range 8 {
			var callees []mesh.ServiceName
			for _, one := range rapid.SliceOfNDistinct(rapid.IntRange(0, 11), 0, 4, rapid.ID).Draw(t, "callees") {
				callees = append(callees, mesh.ServiceName(fmt.Sprintf("s%d", one)))
			}
			changes = append(changes, service(fmt.Sprintf("s%d", i), callees...))
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "routes") {
			route := &mesh.Route{Name: mesh.RouteName(fmt.Sprintf("r%d", i)), Backends: []mesh.WeightedBackend{{Service: mesh.ServiceName(name("backend")), Weight: 1}}}
			if rapid.Bool().Draw(t, "named") {
				route.Gateways = []mesh.ServiceName{rapid.SampledFrom([]mesh.ServiceName{"edge", "inner"}).Draw(t, "gateway")}
			}
			changes = append(changes, mesh.Change{Route: route})
		}
		var seen []mesh.Edge
		for range rapid.IntRange(0, 8).Draw(t, "seen") {
			caller := rapid.SampledFrom([]string{name("caller"), "gateway/seen"}).Draw(t, "who")
			seen = append(seen, mesh.Edge{
				Caller: caller, Callee: rapid.SampledFrom([]string{name("callee"), "api.example.com"}).Draw(t, "whom"), Requests: 1, RequestRate: 1,
				Undeclared: rapid.Uint64Range(0, 1).Draw(t, "undeclared"), FirstSeen: now.Add(-90 * day),
				LastSeen: now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "days")) * day),
			})
		}
		v := view(changes...)
		whole, err := insight.Topology(v, insight.Observed{Edges: seen}, insight.TopologyOptions{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range whole.Nodes {
			for depth := range 4 {
				got, err := insight.Topology(v, insight.Observed{Edges: seen}, insight.TopologyOptions{Focus: node.ID, Depth: depth, Now: now})
				if err != nil {
					t.Fatal(err)
				}
				nodes, edges := around(whole, node.ID, depth)
				var names []string
				for _, one := range got.Nodes {
					names = append(names, one.ID)
				}
				if diff := cmp.Diff(nodes, names); diff != "" {
					t.Fatalf("nodes around %s, %d away: (-want +got)\n%s", node.ID, depth, diff)
				}
				if diff := cmp.Diff(edges, append([]mesh.TopologyEdge(nil), got.Edges...)); diff != "" {
					t.Fatalf("edges around %s, %d away: (-want +got)\n%s", node.ID, depth, diff)
				}
			}
		}
		if _, err := insight.Topology(v, insight.Observed{Edges: seen}, insight.TopologyOptions{Focus: "nobody", Now: now}); mesh.KindOf(err) != mesh.KindNotFound {
			t.Fatalf("of nobody: %v", err)
		}
	})
}
