package insight

import (
	"math"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// place gives every spot its height and every column its place and width; the
// nodes' boxes too. It returns the size of the whole.
func (c *columns) place() (width, height float64) {
	c.stack()
	rounds := placings
	if len(c.column) > manySpots {
		rounds = fewPlacing
	}
	for round := range rounds {
		last := round >= rounds-2
		if round%2 == 0 {
			for i := range c.spots {
				c.settle(c.spots[i], true, last)
			}
		} else {
			for i := len(c.spots) - 1; i >= 0; i-- {
				c.settle(c.spots[i], last, true)
			}
		}
	}
	top, bottom := math.Inf(1), math.Inf(-1)
	for s, y := range c.y {
		top, bottom = min(top, y-c.half(spot(s))), max(bottom, y+c.half(spot(s)))
	}
	for s := range c.y {
		c.y[s] = math.Round(c.y[s] - top)
	}
	c.spread()
	for node, box := range c.g.boxes {
		column := c.column[node]
		box.X, box.Y, box.Width = c.x[column], c.y[node]-boxHeight/2, c.w[column]
	}
	last := len(c.x) - 1
	return c.x[last] + c.w[last], math.Ceil(bottom - top)
}

// half is half the height of what is at a spot.
func (c *columns) half(s spot) float64 {
	if c.isNode(s) {
		return boxHeight / 2
	}
	return 0
}

func (c *columns) isNode(s spot) bool { return int(s) < c.g.nodes() }

// apart is how far the middles of two spots of a column have to be, at least.
func (c *columns) apart(above, below spot) float64 {
	if c.isNode(above) && c.isNode(below) {
		return boxHeight + boxGap
	}
	return c.half(above) + c.half(below) + lineGap
}

// stack begins with each column packed, its middle at 0.
func (c *columns) stack() {
	c.y = make([]float64, len(c.column))
	for _, spots := range c.spots {
		y := 0.0
		for i, s := range spots {
			if i > 0 {
				y += c.apart(spots[i-1], s)
			}
			c.y[s] = y
		}
		for _, s := range spots {
			c.y[s] -= y / 2
		}
	}
}

// settle moves the spots of a column as near as possible to the middle of their
// neighbours, in the order that they have, and far enough apart: the least sum of
// squares, by pooling those that would collide (isotonic regression).
func (c *columns) settle(spots []spot, byLeft, byRight bool) {
	type pool struct {
		sum, weight float64
		members     int
	}
	pools := make([]pool, 0, len(spots))
	offset := make([]float64, len(spots)) // from the first, if all stood as close as they may
	for i, s := range spots {
		if i > 0 {
			offset[i] = offset[i-1] + c.apart(spots[i-1], s)
		}
		want, weight := c.wish(s, byLeft, byRight)
		pools = append(pools, pool{(want - offset[i]) * weight, weight, 1})
		for n := len(pools); n > 1 && pools[n-2].sum*pools[n-1].weight >= pools[n-1].sum*pools[n-2].weight; n-- {
			pools[n-2].sum += pools[n-1].sum
			pools[n-2].weight += pools[n-1].weight
			pools[n-2].members += pools[n-1].members
			pools = pools[:n-1]
		}
	}
	i := 0
	for _, p := range pools {
		for range p.members {
			c.y[spots[i]] = p.sum/p.weight + offset[i]
			i++
		}
	}
}

// wish is where a spot wants to be and how much. Bundles want to be straight
// (the weights are those of Gansner et al., "A technique for drawing directed
// graphs", 1993).
func (c *columns) wish(s spot, byLeft, byRight bool) (y, weight float64) {
	sum := 0.0
	add := func(beside []spot) {
		for _, n := range beside {
			w := 1.0
			switch {
			case !c.isNode(s) && !c.isNode(n):
				w = 8
			case !c.isNode(s) || !c.isNode(n):
				w = 2
			}
			sum += w * c.y[n]
			weight += w
		}
	}
	if byLeft {
		add(c.left[s])
	}
	if byRight {
		add(c.right[s])
	}
	if weight == 0 {
		return c.y[s], 0.05
	}
	return sum / weight, weight
}

// spread gives the columns their places. Where edges are steep they get more room.
func (c *columns) spread() {
	c.x, c.w = make([]float64, len(c.spots)), make([]float64, len(c.spots))
	x := 0.0
	for i, spots := range c.spots {
		steepest := 0.0
		for _, s := range spots {
			if c.isNode(s) {
				c.w[i] = max(c.w[i], c.g.boxes[s].Width)
			}
			for _, n := range c.right[s] {
				steepest = max(steepest, math.Abs(c.y[n]-c.y[s]))
			}
		}
		c.x[i] = x
		x += c.w[i] + columnGap + math.Round(min(mostSlope, steepest/6))
	}
}

// paths gives the way of each link, from its caller to its callee.
func (c *columns) paths() [][]mesh.Point {
	out := make([][]mesh.Point, len(c.g.from))
	for e := range out {
		left, right := c.g.ends(e)
		begin, end := c.column[left], c.column[right]
		port := boxHeight * 0.5
		bundle := c.to[right]
		if c.g.back[e] {
			port, bundle = math.Round(boxHeight*backPort), c.back[left]
		}
		path := make([]mesh.Point, 0, 2*(end-begin))
		add := func(x, y float64) {
			if n := len(path); n > 1 && path[n-1].Y == y && path[n-2].Y == y {
				path[n-1].X = x // on the same line
				return
			}
			path = append(path, mesh.Point{X: x, Y: y})
		}
		add(c.x[begin]+c.w[begin], c.y[left]-boxHeight/2+port)
		for column := begin + 1; column < end; column++ {
			y := c.y[bundle.in(column)]
			add(c.x[column], y)
			add(c.x[column]+c.w[column], y)
		}
		add(c.x[end], c.y[right]-boxHeight/2+port)
		if c.g.back[e] {
			for i, j := 0, len(path)-1; i < j; i, j = i+1, j-1 {
				path[i], path[j] = path[j], path[i]
			}
		}
		out[e] = path
	}
	return out
}
