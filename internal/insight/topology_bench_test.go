package insight_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func BenchmarkTopology(b *testing.B) {
	one := bigMesh(2000, 8000)
	calls := map[string][]mesh.ServiceName{}
	var seen []mesh.Edge
	for _, e := range one.Edges {
		calls[e.From] = append(calls[e.From], mesh.ServiceName(e.To))
		seen = append(seen, mesh.Edge{Caller: e.From, Callee: e.To, Requests: 5, FirstSeen: now, LastSeen: now})
	}
	var changes []mesh.Change
	for _, n := range one.Nodes {
		changes = append(changes, service(n.ID, calls[n.ID]...))
		for i := range 10 {
			changes = append(changes, instance(n.ID, fmt.Sprint(i), mesh.Healthy, false))
		}
	}
	v := view(changes...)
	var t mesh.Topology
	b.Run("made", func(b *testing.B) {
		for b.Loop() {
			t, _ = insight.Topology(v, insight.Observed{Edges: seen}, insight.TopologyOptions{Now: now})
		}
	})
	b.Run("encoded", func(b *testing.B) {
		for b.Loop() {
			_, _ = json.Marshal(t)
		}
	})
}
