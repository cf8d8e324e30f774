package mesh

import "slices"

// graph is who calls whom, by position in a list of services. What is not in the
// list is left out, and so are calls of a service to itself.
type graph struct {
	services []*Service
	index    map[ServiceName]int // the first of each name
	calls    [][]int

	circle  []int     // by service: the strongly connected component that it is in
	members []int     // by component: how many services are in it
	example [][]int   // by component: a cycle in it, once one was looked for
	found   []foundBy // by service: how a search came to it
	budget  int       // of calls that searches for cycles may still follow
}

type foundBy struct{ search, before int }

func graphOf(services []*Service) *graph {
	g := &graph{services: services, index: make(map[ServiceName]int, len(services)), calls: make([][]int, len(services))}
	for i := range services {
		if _, twice := g.index[services[i].Name]; !twice {
			g.index[services[i].Name] = i
		}
	}
	for i := range services {
		for _, name := range services[i].Dependencies {
			if to, known := g.index[name]; known && to != i {
				g.calls[i] = append(g.calls[i], to)
				g.budget++
			}
		}
	}
	g.budget = searchesOfAll * (g.budget + len(services))
	return g
}

// searchesOfAll bounds how much is spent on naming cycles: so many times the
// whole of the services and their calls.
const searchesOfAll = 16

// findCircles finds the strongly connected components: services that all call each
// other, directly or not (Tarjan, "Depth-first search and linear graph algorithms",
// 1972).
func (g *graph) findCircles() {
	g.circle = make([]int, len(g.calls))
	g.found = make([]foundBy, len(g.calls))
	number, low := make([]int, len(g.calls)), make([]int, len(g.calls)) // from 1; 0: not visited
	var stack []int
	onStack := make([]bool, len(g.calls))
	visited := 0
	var visit func(int)
	visit = func(v int) {
		visited++
		number[v], low[v] = visited, visited
		stack, onStack[v] = append(stack, v), true
		for _, to := range g.calls[v] {
			if number[to] == 0 {
				visit(to)
				low[v] = min(low[v], low[to])
			} else if onStack[to] {
				low[v] = min(low[v], number[to])
			}
		}
		if low[v] != number[v] {
			return
		}
		g.members = append(g.members, 0)
		for last := -1; last != v; {
			last = stack[len(stack)-1]
			stack, onStack[last] = stack[:len(stack)-1], false
			g.circle[last] = len(g.members) - 1
			g.members[g.circle[last]]++
		}
	}
	for v := range g.calls {
		if number[v] == 0 {
			visit(v)
		}
	}
	g.example = make([][]int, len(g.members))
}

// cycle gives a shortest cycle that a service is on, beginning with it, or nil if
// it is on none. Once that has cost too much, it is some cycle of those who all
// call each other.
func (g *graph) cycle(v int) []int {
	circle := g.circle[v]
	if g.members[circle] < 2 {
		return nil
	}
	if g.budget <= 0 && g.example[circle] != nil {
		return g.example[circle]
	}
	queue := []int{v}
	g.found[v] = foundBy{v + 1, v}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, to := range g.calls[from] {
			g.budget--
			switch {
			case to == v:
				path := []int{from}
				for at := from; at != v; path = append(path, at) {
					at = g.found[at].before
				}
				slices.Reverse(path)
				g.example[circle] = path
				return path
			case g.circle[to] == circle && g.found[to].search != v+1:
				g.found[to] = foundBy{v + 1, from}
				queue = append(queue, to)
			}
		}
	}
	return nil // never: it is one of at least two who call each other
}

func (g *graph) names(path []int) []ServiceName {
	names := make([]ServiceName, len(path))
	for i, at := range path {
		names[i] = g.services[at].Name
	}
	return names
}

// cycleThrough gives a shortest cycle that a service is on, beginning with it, or nil.
func cycleThrough(service *Service, find func(ServiceName) *Service) []ServiceName {
	before := map[ServiceName]ServiceName{}
	queue := []*Service{service}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, name := range from.Dependencies {
			if name == service.Name && from != service {
				path := []ServiceName{from.Name}
				for at := from.Name; at != service.Name; path = append(path, at) {
					at = before[at]
				}
				slices.Reverse(path)
				return path
			}
			if _, seen := before[name]; seen || name == service.Name {
				continue
			}
			if callee := find(name); callee != nil {
				before[name] = from.Name
				queue = append(queue, callee)
			}
		}
	}
	return nil
}
