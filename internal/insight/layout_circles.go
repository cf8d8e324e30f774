package insight

import (
	"math"
	"slices"
)

// breakCircles turns round edges until nothing leads back to where it came from.
// Only edges among nodes that all reach each other are, and few of them.
func (g *graph) breakCircles() {
	group := g.groups()
	members := map[int][]int{}
	for node, one := range group {
		members[one] = append(members[one], node)
	}
	n := g.nodes()
	c := circles{
		callees: make([][]int, n), callers: make([][]int, n), out: make([]int, n), in: make([]int, n),
		favour: make([]int, n), place: make([]int, n),
	}
	for e, from := range g.from {
		to := g.to[e]
		if group[from] == group[to] {
			c.callees[from] = append(c.callees[from], to)
			c.callers[to] = append(c.callers[to], from)
		} else {
			c.favour[to] = 1
		}
	}
	for _, nodes := range members {
		c.line(nodes)
	}
	for e, from := range g.from {
		g.back[e] = group[from] == group[g.to[e]] && c.place[from] > c.place[g.to[e]]
	}
}

// circles are the edges among nodes that all reach each other.
type circles struct {
	callees, callers [][]int
	out, in          []int // how many of them are left
	favour           []int // 1 for who is called from elsewhere, too
	place            []int // of a node in the row of its group
}

// groups numbers the sets of nodes that all reach each other (Tarjan,
// "Depth-first search and linear graph algorithms", 1972).
func (g *graph) groups() []int {
	callees := make([][]int, g.nodes())
	for e, from := range g.from {
		callees[from] = append(callees[from], g.to[e])
	}
	group, low, number := make([]int, g.nodes()), make([]int, g.nodes()), make([]int, g.nodes())
	var open []int
	onPath := make([]bool, g.nodes())
	next, groups := 0, 0
	var visit func(int)
	visit = func(node int) {
		next++
		number[node], low[node] = next, next
		open, onPath[node] = append(open, node), true
		for _, callee := range callees[node] {
			if number[callee] == 0 {
				visit(callee)
				low[node] = min(low[node], low[callee])
			} else if onPath[callee] {
				low[node] = min(low[node], number[callee])
			}
		}
		if low[node] < number[node] {
			return
		}
		for {
			last := open[len(open)-1]
			open = open[:len(open)-1]
			onPath[last], group[last] = false, groups
			if last == node {
				break
			}
		}
		groups++
	}
	for node := range callees {
		if number[node] == 0 {
			visit(node)
		}
	}
	return group
}

// line puts the nodes of a group in a row in which few edges lead back: whoever
// calls nobody of those who are left comes last, whom none of them calls first,
// and else who calls most more than call it (Eades, Lin and Smyth, "A fast and
// effective heuristic for the feedback arc set problem", 1993).
func (c *circles) line(nodes []int) {
	for _, node := range nodes {
		c.out[node], c.in[node] = len(c.callees[node]), len(c.callers[node])
	}
	first, last := 0, len(nodes)-1
	for left := nodes; len(left) > 0; {
		at, best := 0, math.MinInt
		for i, node := range left {
			if c.out[node] == 0 || c.in[node] == 0 {
				at = i
				break
			}
			if lead := c.out[node] - c.in[node] + c.favour[node]; lead > best {
				at, best = i, lead
			}
		}
		node := left[at]
		left = slices.Delete(left, at, at+1)
		if c.out[node] == 0 && c.in[node] > 0 {
			c.place[node] = last
			last--
		} else {
			c.place[node] = first
			first++
		}
		for _, one := range c.callees[node] {
			c.in[one]--
		}
		for _, one := range c.callers[node] {
			c.out[one]--
		}
	}
}
