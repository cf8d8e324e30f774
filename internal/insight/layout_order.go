package insight

import (
	"cmp"
	"slices"
)

// spot is a place in a column: of a node, or of a bundle of long edges that
// crosses the column. Spots below the number of nodes are the nodes.
type spot = int32

// columns are the spots, and what joins those of neighbouring columns.
type columns struct {
	g           *graph
	column      []int // of each spot
	left, right [][]spot
	spots       [][]spot // of each column, from top to bottom
	at          []int    // the place of each spot in its column

	// Long edges to one node run together: the bundle to it has a spot in each
	// column from the one at first. Backwards ones have their own.
	to, back []bundle

	y []float64 // of each spot's middle
	x []float64 // of each column's left side
	w []float64 // of each column
}

type bundle struct {
	first int // column
	spots []spot
}

func (b bundle) in(column int) spot { return b.spots[column-b.first] }

// Effort: a large drawing gets fewer sweeps, for it has to be there at once.
const (
	manySpots  = 3000
	sweeps     = 24
	fewSweeps  = 4
	swapsUpTo  = 800 // spots for which neighbours are tried the other way round
	placings   = 12
	fewPlacing = 6
)

func newColumns(g *graph) *columns {
	c := &columns{g: g, column: slices.Clone(g.column), to: make([]bundle, g.nodes()), back: make([]bundle, g.nodes())}
	// Which columns does the bundle of each node cross?
	span := func(bundles []bundle, node, first, end int) {
		b := &bundles[node]
		if first >= end {
			return
		}
		if len(b.spots) == 0 {
			b.first = first
		}
		low, high := min(b.first, first), max(b.first+len(b.spots), end)
		b.first, b.spots = low, make([]spot, high-low)
	}
	for e := range g.from {
		l, r := g.ends(e)
		if g.back[e] {
			span(c.back, l, g.column[l]+1, g.column[r])
		} else {
			span(c.to, r, g.column[l]+1, g.column[r])
		}
	}
	for _, bundles := range [][]bundle{c.to, c.back} {
		for _, b := range bundles {
			for i := range b.spots {
				b.spots[i] = spot(len(c.column))
				c.column = append(c.column, b.first+i)
			}
		}
	}
	c.left, c.right = make([][]spot, len(c.column)), make([][]spot, len(c.column))
	for node := range g.nodes() {
		if b := c.to[node]; len(b.spots) > 0 {
			c.chain(append(slices.Clone(b.spots), spot(node)))
		}
		if b := c.back[node]; len(b.spots) > 0 {
			c.chain(append([]spot{spot(node)}, b.spots...))
		}
	}
	for e := range g.from {
		l, r := g.ends(e)
		switch {
		case g.column[r] == g.column[l]+1:
			c.join(spot(l), spot(r))
		case g.back[e]:
			c.join(c.back[l].in(g.column[r]-1), spot(r))
		default:
			c.join(spot(l), c.to[r].in(g.column[l]+1))
		}
	}
	c.firstOrder()
	return c
}

func (c *columns) chain(spots []spot) {
	for i := 1; i < len(spots); i++ {
		c.join(spots[i-1], spots[i])
	}
}

func (c *columns) join(left, right spot) {
	c.right[left] = append(c.right[left], right)
	c.left[right] = append(c.left[right], left)
}

// firstOrder walks from left to right, so that what belongs together is near.
func (c *columns) firstOrder() {
	c.spots = make([][]spot, slices.Max(c.column)+1)
	seen := make([]bool, len(c.column))
	var walk func(spot)
	walk = func(s spot) {
		seen[s] = true
		c.spots[c.column[s]] = append(c.spots[c.column[s]], s)
		for _, next := range c.right[s] {
			if !seen[next] {
				walk(next)
			}
		}
	}
	var begin []spot
	for s := range c.column {
		if len(c.left[s]) == 0 {
			begin = append(begin, spot(s))
		}
	}
	slices.SortStableFunc(begin, func(a, b spot) int { return cmp.Compare(c.column[a], c.column[b]) })
	for _, s := range begin {
		walk(s)
	}
	c.at = make([]int, len(c.column))
	for _, spots := range c.spots {
		c.number(spots)
	}
}

func (c *columns) number(spots []spot) {
	for i, s := range spots {
		c.at[s] = i
	}
}

// reduceCrossings orders each column by the middle of the neighbours, again and
// again from left to right and back, and keeps the best order that it met.
func (c *columns) reduceCrossings() {
	rounds := sweeps
	if len(c.column) > manySpots {
		rounds = fewSweeps
	}
	best, least := c.order(), c.crossings()
	keys := make([]float64, len(c.column))
	worse := 0
	for round := 0; round < rounds && least > 0 && worse < 6; round++ {
		if round%2 == 0 {
			for i := 1; i < len(c.spots); i++ {
				c.sortColumn(c.spots[i], c.left, keys)
			}
		} else {
			for i := len(c.spots) - 2; i >= 0; i-- {
				c.sortColumn(c.spots[i], c.right, keys)
			}
		}
		if len(c.column) <= swapsUpTo {
			c.swapNeighbours()
		}
		worse++
		if now := c.crossings(); now < least {
			best, least, worse = c.order(), now, 0
		}
	}
	c.spots = best
	for _, spots := range c.spots {
		c.number(spots)
	}
}

func (c *columns) order() [][]spot {
	out := make([][]spot, len(c.spots))
	for i, spots := range c.spots {
		out[i] = slices.Clone(spots)
	}
	return out
}

func (c *columns) sortColumn(spots []spot, beside [][]spot, keys []float64) {
	for _, s := range spots {
		keys[s] = float64(c.at[s])
		if len(beside[s]) > 0 {
			sum := 0
			for _, n := range beside[s] {
				sum += c.at[n]
			}
			keys[s] = float64(sum) / float64(len(beside[s]))
		}
	}
	slices.SortStableFunc(spots, func(a, b spot) int { return cmp.Compare(keys[a], keys[b]) })
	c.number(spots)
}

// swapNeighbours changes the order of two that stand together wherever that
// takes crossings away.
func (c *columns) swapNeighbours() {
	for range 4 {
		better := false
		for _, spots := range c.spots {
			for i := 1; i < len(spots); i++ {
				a, b := spots[i-1], spots[i]
				gain := c.between(a, b, c.left) + c.between(a, b, c.right) - c.between(b, a, c.left) - c.between(b, a, c.right)
				if gain > 0 {
					spots[i-1], spots[i] = b, a
					c.at[a], c.at[b] = i, i-1
					better = true
				}
			}
		}
		if !better {
			return
		}
	}
}

// between counts the crossings of the lines of two spots, the first above.
func (c *columns) between(above, below spot, beside [][]spot) int {
	n := 0
	for _, a := range beside[above] {
		for _, b := range beside[below] {
			if c.at[a] > c.at[b] {
				n++
			}
		}
	}
	return n
}

// crossings counts the pairs of lines that cross, between all columns (Barth,
// Mutzel and Jünger, "Simple and efficient bilayer cross counting", 2002).
func (c *columns) crossings() int {
	total := 0
	var ends, tree []int
	for i := 0; i+1 < len(c.spots); i++ {
		size := len(c.spots[i+1])
		tree = append(tree[:0], make([]int, size+1)...)
		seen := 0
		for _, s := range c.spots[i] {
			ends = ends[:0]
			for _, n := range c.right[s] {
				ends = append(ends, c.at[n])
			}
			for _, end := range ends {
				total += seen // less those that end at or above
				for k := end + 1; k > 0; k -= k & -k {
					total -= tree[k]
				}
			}
			for _, end := range ends {
				seen++
				for k := end + 1; k <= size; k += k & -k {
					tree[k]++
				}
			}
		}
	}
	return total
}
