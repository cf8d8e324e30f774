package insight_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// drawing is a topology of nodes n0, n1, … and the given edges.
func drawing(nodes int, edges map[[2]int]bool) mesh.Topology {
	var t mesh.Topology
	for i := range nodes {
		t.Nodes = append(t.Nodes, mesh.TopologyNode{ID: fmt.Sprintf("n%d", i), Kind: mesh.ServiceNode})
	}
	for e := range edges {
		t.Edges = append(t.Edges, mesh.TopologyEdge{From: fmt.Sprintf("n%d", e[0]), To: fmt.Sprintf("n%d", e[1])})
	}
	slices.SortFunc(t.Edges, func(a, b mesh.TopologyEdge) int { return cmpText(a.From+" "+a.To, b.From+" "+b.To) })
	return t
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func anyDrawing(rt *rapid.T) mesh.Topology {
	nodes := rapid.IntRange(1, 60).Draw(rt, "nodes")
	edges := map[[2]int]bool{}
	for range rapid.IntRange(0, 3*nodes).Draw(rt, "edges") {
		edges[[2]int{rapid.IntRange(0, nodes-1).Draw(rt, "from"), rapid.IntRange(0, nodes-1).Draw(rt, "to")}] = true
	}
	t := drawing(nodes, edges)
	for i := range t.Nodes {
		if rapid.IntRange(0, 9).Draw(rt, "gateway") == 0 {
			t.Nodes[i].Kind = mesh.GatewayNode
		}
	}
	return t
}

func TestLayoutKeepsItsPromises(t *testing.T) {
	propertytest.Check(t, func(rt *rapid.T) {
		one := anyDrawing(rt)
		other := mesh.Topology{Nodes: slices.Clone(one.Nodes), Edges: slices.Clone(one.Edges)}
		insight.Layout(&one)
		insight.Layout(&other)
		if diff := cmp.Diff(one, other); diff != "" {
			rt.Fatalf("the same input gave another layout: %s", diff)
		}
		promises(rt, one)
	})
}

// promises are what every layout keeps.
func promises(t rapid.TB, one mesh.Topology) {
	t.Helper()
	boxes, near := map[string]mesh.Box{}, map[int][]mesh.TopologyNode{}
	strips := func(b mesh.Box, visit func(strip int)) {
		for strip := int(b.X) / 250; strip <= int(b.X+b.Width)/250; strip++ {
			visit(strip)
		}
	}
	for _, a := range one.Nodes {
		boxes[a.ID] = *a.Box
		if a.Box.X < 0 || a.Box.Y < 0 || a.Box.X+a.Box.Width > one.Width || a.Box.Y+a.Box.Height > one.Height {
			t.Fatalf("%s is outside of the drawing: %+v in %v x %v", a.ID, *a.Box, one.Width, one.Height)
		}
		strips(*a.Box, func(strip int) {
			for _, b := range near[strip] {
				if a.ID != b.ID && overlap(*a.Box, *b.Box) {
					t.Fatalf("%s and %s overlap: %+v %+v", a.ID, b.ID, *a.Box, *b.Box)
				}
			}
			near[strip] = append(near[strip], a)
		})
	}
	callees := map[string][]string{}
	for _, e := range one.Edges {
		if e.From != e.To {
			callees[e.From] = append(callees[e.From], e.To)
		}
	}
	for _, e := range one.Edges {
		from, to := boxes[e.From], boxes[e.To]
		first, last := e.Path[0], e.Path[len(e.Path)-1]
		switch {
		case e.From == e.To:
		case e.Backwards:
			if from.X <= to.X || first.X != from.X || last.X != to.X+to.Width {
				t.Fatalf("%s → %s is backwards, and does not go from right to left: %+v", e.From, e.To, e)
			}
			if !reaches(callees, e.To, e.From) {
				t.Fatalf("%s → %s is backwards, but closes no circle", e.From, e.To)
			}
		default:
			if to.X <= from.X+from.Width || first.X != from.X+from.Width || last.X != to.X {
				t.Fatalf("%s → %s does not go from left to right: %+v", e.From, e.To, e)
			}
		}
		for i, p := range e.Path {
			if p.X < 0 || p.Y < 0 || p.X > one.Width || p.Y > one.Height {
				t.Fatalf("%s → %s leaves the drawing at %+v", e.From, e.To, p)
			}
			if i > 0 && e.Path[i-1].Y == p.Y && e.From != e.To {
				line := mesh.Box{X: min(p.X, e.Path[i-1].X), Y: p.Y, Width: max(p.X, e.Path[i-1].X) - min(p.X, e.Path[i-1].X)}
				strips(line, func(strip int) {
					for _, b := range near[strip] {
						if overlap(line, *b.Box) {
							t.Fatalf("%s → %s runs through %s: %+v", e.From, e.To, b.ID, e.Path)
						}
					}
				})
			}
		}
	}
}

func overlap(a, b mesh.Box) bool {
	return a.X < b.X+b.Width && b.X < a.X+a.Width && a.Y < b.Y+b.Height && b.Y < a.Y+a.Height
}

func reaches(callees map[string][]string, from, to string) bool {
	seen := map[string]bool{from: true}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			return true
		}
		for _, next := range callees[queue[0]] {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return false
}

// bigMesh is like real ones: a few tiers, some services that everybody calls, a
// few circles, and services that nobody has connected yet.
func bigMesh(nodes, edges int) mesh.Topology {
	random := rand.New(rand.NewPCG(1, 2))
	const tiers = 8
	connected := nodes * 19 / 20
	size := connected / tiers
	all := map[[2]int]bool{}
	for len(all) < edges {
		from := random.IntN(connected)
		tier := min(from/size, tiers-1)
		low := min((tier+1)*size, connected)
		to := low + random.IntN(size)
		switch dice := random.IntN(100); {
		case dice < 20:
			to = connected - 1 - random.IntN(nodes/80+1) // a hub
		case dice < 35:
			to = low + random.IntN(3*size)
		case dice < 36:
			to = random.IntN(connected)
		}
		if to < connected && to != from {
			all[[2]int{from, to}] = true
		}
	}
	return drawing(nodes, all)
}

// tangled has no order at all.
func tangled(nodes, edges int) mesh.Topology {
	random := rand.New(rand.NewPCG(3, 4))
	all := map[[2]int]bool{}
	for len(all) < edges {
		all[[2]int{random.IntN(nodes), random.IntN(nodes)}] = true
	}
	return drawing(nodes, all)
}

func TestLayoutOfManyServicesIsThereAtOnce(t *testing.T) {
	for name, one := range map[string]mesh.Topology{"like real ones": bigMesh(2000, 8000), "tangled": tangled(2000, 8000)} {
		began := time.Now()
		insight.Layout(&one)
		took := time.Since(began)
		t.Logf("%s: %d services, %d edges: %v; %v x %v", name, len(one.Nodes), len(one.Edges), took, one.Width, one.Height)
		promises(t, one)
		if took > time.Minute { // far less, but machines that test are loaded
			t.Errorf("%s: it took %v", name, took)
		}
	}
}

func BenchmarkLayout(b *testing.B) {
	for name, one := range map[string]mesh.Topology{"30": bigMesh(30, 60), "300": bigMesh(300, 1000), "2000": bigMesh(2000, 8000), "tangled": tangled(2000, 8000)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				insight.Layout(&one)
			}
		})
	}
}
