package insight

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Sizes of the drawing, in pixels.
const (
	boxHeight   = 44
	boxGap      = 14 // between two boxes of a column
	lineGap     = 7  // between two lines, or a line and a box, of a column
	columnGap   = 64 // between two columns, at least
	mostSlope   = 90 // what steep edges may add to that
	partGap     = 40 // between parts of the mesh that do not call each other
	margin      = 24
	captionRoom = 34   // above the services that call nobody
	aspect      = 1.5  // width by height that a large drawing tries for
	letter      = 7.6  // the width of a letter of a name, about
	smallLetter = 6.0  // and of what is below the name
	ownerAt     = 9    // letters before the owner there
	emptyOwner  = 15   // of a service without instances
	roundEnd    = 14.0 // of a gateway
	boxFrame    = 52.0 // the width of what is in a box beside its texts
	leastBox    = 132.0
	mostBox     = 250.0
	backPort    = 0.78 // how far down a box backwards edges begin and end, of its height
)

// Layout adds to t where everything is drawn, from left to right: who calls is
// left of whom it calls, but for edges that close a circle of calls.
//
// The layout is layered, after Sugiyama, Tagawa and Toda ("Methods for visual
// understanding of hierarchical system structures", 1981): circles are broken,
// each node gets a column, long edges get a place in each column they cross,
// the order in the columns is chosen for few crossings, then the heights for
// straight lines. Long edges to one callee run together. Parts that do not call
// each other are laid out apart; nodes without any edge stand below, in rows.
//
// The same topology has the same layout, always.
func Layout(t *mesh.Topology) {
	at := make(map[string]int, len(t.Nodes))
	for i := range t.Nodes {
		at[t.Nodes[i].ID] = i
		t.Nodes[i].Box = &mesh.Box{Width: boxWidth(&t.Nodes[i]), Height: boxHeight}
	}
	links := make([]link, 0, len(t.Edges))
	for i, e := range t.Edges {
		t.Edges[i].Path, t.Edges[i].Backwards = nil, false
		if e.From != e.To {
			links = append(links, link{from: at[e.From], to: at[e.To], edge: i})
		}
	}
	parts, alone := split(len(t.Nodes), links)
	for i := range parts {
		parts[i].layout(t)
	}
	pack(t, parts, alone)
	for i, e := range t.Edges {
		if e.From == e.To {
			box := t.Nodes[at[e.From]].Box
			t.Edges[i].Path = []mesh.Point{{X: box.X + box.Width, Y: box.Y + boxHeight*(1-backPort)}, {X: box.X + box.Width, Y: box.Y + boxHeight*backPort}}
		}
	}
}

// link is an edge between two nodes, by their places among the nodes.
type link struct {
	from, to int
	edge     int // its place among the edges
}

// part is nodes that are connected by links.
type part struct {
	nodes         []int
	links         []link
	width, height float64
}

// boxWidth has room for the name, and for the instances and the owner below it.
func boxWidth(n *mesh.TopologyNode) float64 {
	name := boxFrame + letter*float64(utf8.RuneCountInString(n.ID))
	switch {
	case n.Kind == mesh.GatewayNode:
		name += roundEnd
	case n.Owner != "" && n.Instances == 0:
		name = max(name, boxFrame+smallLetter*float64(emptyOwner+utf8.RuneCountInString(n.Owner)))
	case n.Owner != "":
		name = max(name, boxFrame+smallLetter*float64(ownerAt+utf8.RuneCountInString(n.Owner)))
	}
	return math.Round(min(max(leastBox, name), mostBox))
}

// split finds the connected parts, the largest first, and the nodes without links.
func split(nodes int, links []link) (parts []part, alone []int) {
	leader := make([]int, nodes)
	for i := range leader {
		leader[i] = i
	}
	find := func(i int) int {
		for leader[i] != i {
			leader[i] = leader[leader[i]]
			i = leader[i]
		}
		return i
	}
	linked := make([]bool, nodes)
	for _, l := range links {
		linked[l.from], linked[l.to] = true, true
		a, b := find(l.from), find(l.to)
		leader[max(a, b)] = min(a, b)
	}
	of := map[int]int{}
	for i := range nodes {
		if !linked[i] {
			alone = append(alone, i)
			continue
		}
		p, there := of[find(i)]
		if !there {
			p = len(parts)
			of[find(i)] = p
			parts = append(parts, part{})
		}
		parts[p].nodes = append(parts[p].nodes, i)
	}
	for _, l := range links {
		p := &parts[of[find(l.from)]]
		p.links = append(p.links, l)
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(len(b.nodes), len(a.nodes)) })
	return parts, alone
}

// layout places the nodes and links of one part, from its own corner.
func (p *part) layout(t *mesh.Topology) {
	local := make(map[int]int, len(p.nodes))
	g := graph{
		edges: make([]int, len(p.links)), from: make([]int, len(p.links)), to: make([]int, len(p.links)), back: make([]bool, len(p.links)),
		gateway: make([]bool, len(p.nodes)), boxes: make([]*mesh.Box, len(p.nodes)),
	}
	for i, node := range p.nodes {
		local[node] = i
		g.boxes[i] = t.Nodes[node].Box
		g.gateway[i] = t.Nodes[node].Kind == mesh.GatewayNode
	}
	for i, l := range p.links {
		g.edges[i], g.from[i], g.to[i] = l.edge, local[l.from], local[l.to]
	}
	g.breakCircles()
	g.rank()
	c := newColumns(&g)
	c.reduceCrossings()
	p.width, p.height = c.place()
	for i, path := range c.paths() {
		e := &t.Edges[g.edges[i]]
		e.Path, e.Backwards = path, g.back[i]
	}
}

// pack puts the parts beside and below each other, and the nodes without edges
// in rows below all of them.
func pack(t *mesh.Topology, parts []part, alone []int) {
	cell := 0.0
	for _, i := range alone {
		cell = max(cell, t.Nodes[i].Box.Width)
	}
	area := float64(len(alone)) * (cell + boxGap) * (boxHeight + boxGap)
	widest := 0.0
	for _, p := range parts {
		area += (p.width + partGap) * (p.height + partGap)
		widest = max(widest, p.width)
	}
	room := max(widest, math.Sqrt(area*aspect), leastBox)
	width, x, y, row := 0.0, 0.0, 0.0, 0.0
	for _, p := range parts {
		if x > 0 && x+p.width > room {
			x, y, row = 0, y+row+partGap, 0
		}
		p.move(t, margin+x, margin+y)
		x, row = x+p.width+partGap, max(row, p.height)
		width = max(width, x-partGap)
	}
	y += row
	if len(alone) > 0 {
		if len(parts) > 0 {
			y += partGap
		}
		y += captionRoom
		slices.SortStableFunc(alone, func(a, b int) int { return strings.Compare(t.Nodes[a].Owner, t.Nodes[b].Owner) })
		columns := max(1, int((room+boxGap)/(cell+boxGap)))
		for i, node := range alone {
			box := t.Nodes[node].Box
			box.Width = cell
			box.X = margin + float64(i%columns)*(cell+boxGap)
			box.Y = margin + y + float64(i/columns)*(boxHeight+boxGap)
			width = max(width, box.X-margin+cell)
		}
		y += float64((len(alone)+columns-1)/columns)*(boxHeight+boxGap) - boxGap
	}
	t.Width, t.Height = math.Ceil(width+2*margin), math.Ceil(y+2*margin)
}

// move shifts what [part.layout] placed.
func (p *part) move(t *mesh.Topology, dx, dy float64) {
	for _, i := range p.nodes {
		t.Nodes[i].Box.X += dx
		t.Nodes[i].Box.Y += dy
	}
	for _, l := range p.links {
		path := t.Edges[l.edge].Path
		for i := range path {
			path[i].X += dx
			path[i].Y += dy
		}
	}
}
