package insight

import (
	"cmp"
	"math"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// graph is one connected part: its nodes are 0 to n-1, its edges from, to.
type graph struct {
	from, to []int
	back     []bool // the edge closes a circle, and is taken the other way round
	edges    []int  // which edge of the topology it is
	gateway  []bool
	boxes    []*mesh.Box
	column   []int // of each node
}

func (g *graph) nodes() int { return len(g.boxes) }

// ends are an edge's nodes from left to right.
func (g *graph) ends(edge int) (left, right int) {
	if g.back[edge] {
		return g.to[edge], g.from[edge]
	}
	return g.from[edge], g.to[edge]
}

// rightOf lists the neighbours on the right of each node, leftOf those on its left.
func (g *graph) rightOf() [][]int {
	out := make([][]int, g.nodes())
	for e := range g.from {
		left, right := g.ends(e)
		out[left] = append(out[left], right)
	}
	return out
}

func (g *graph) leftOf() [][]int {
	out := make([][]int, g.nodes())
	for e := range g.from {
		left, right := g.ends(e)
		out[right] = append(out[right], left)
	}
	return out
}

// rank gives each node a column, right of all its left neighbours. In a large
// part a column takes so many nodes only that the drawing does not become a tower.
func (g *graph) rank() {
	left, right := g.leftOf(), g.rightOf()
	order := byDepth(left, right)
	behind := make([]int, g.nodes()) // how long a way there is to the right
	for _, node := range slices.Backward(order) {
		for _, next := range right[node] {
			behind[node] = max(behind[node], behind[next]+1)
		}
	}
	earliest := make([]int, g.nodes())
	for _, node := range order {
		for _, next := range right[node] {
			earliest[next] = max(earliest[next], earliest[node]+1)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(earliest[a], earliest[b]), cmp.Compare(behind[b], behind[a]))
	})
	most := max(12, int(math.Sqrt(2.4*float64(g.nodes()))))
	g.column = make([]int, g.nodes())
	var filled []int
	take := func(node, column int) {
		for len(filled) <= column {
			filled = append(filled, 0)
		}
		filled[column]++
		g.column[node] = column
	}
	for _, node := range order {
		column := 0
		for _, before := range left[node] {
			column = max(column, g.column[before]+1)
		}
		for column < len(filled) && filled[column] >= most {
			column++
		}
		take(node, column)
	}
	// Who is called by few and calls many stands close to whom it calls.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(g.column[b], g.column[a]) })
	for _, node := range order {
		if g.gateway[node] || len(right[node]) == 0 || len(left[node]) >= len(right[node]) && len(left[node]) > 0 {
			continue
		}
		column := math.MaxInt
		for _, next := range right[node] {
			column = min(column, g.column[next]-1)
		}
		for column > g.column[node] && filled[column] >= most {
			column--
		}
		if column > g.column[node] {
			filled[g.column[node]]--
			take(node, column)
		}
	}
	g.closeGaps(filled)
}

// closeGaps takes out columns that are empty.
func (g *graph) closeGaps(filled []int) {
	to := make([]int, len(filled))
	next := 0
	for column, nodes := range filled {
		to[column] = next
		if nodes > 0 {
			next++
		}
	}
	for node, column := range g.column {
		g.column[node] = to[column]
	}
}

// byDepth orders the nodes so that each comes behind its left neighbours (Kahn).
func byDepth(left, right [][]int) []int {
	waits := make([]int, len(left))
	var order []int
	for node := range left {
		waits[node] = len(left[node])
		if waits[node] == 0 {
			order = append(order, node)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, next := range right[order[i]] {
			if waits[next]--; waits[next] == 0 {
				order = append(order, next)
			}
		}
	}
	return order
}
