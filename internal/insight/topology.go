package insight

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Refused calls are what an edge is shown for as long as that.
const refusedRecently = time.Hour

// DefaultUnusedAfter is how long a declared edge may be silent before it counts
// as unused; as in [Drift].
const DefaultUnusedAfter = DefaultUnusedDays * 24 * time.Hour

// TopologyOptions say what is shown of the mesh.
type TopologyOptions struct {
	// Focus is the node in the middle; "": the whole mesh.
	Focus string
	// Depth is how many calls away from the focus nodes are shown.
	Depth int
	Now   time.Time
	// UnusedAfter is how long a declared edge may be silent; default [DefaultUnusedAfter].
	UnusedAfter time.Duration
}

// anyGateway stands for the gateways of a route that names none, as long as
// nobody names or sees any.
var anyGateway = mesh.GatewayCaller("*")

// Topology puts declarations and what was seen into one picture. Around a focus
// are those who call it, those who call them, and so on up to the depth, and in
// the other direction those whom it calls: not what else its callers call.
func Topology(view *catalog.View, seen Observed, o TopologyOptions) (mesh.Topology, error) {
	o.UnusedAfter = cmp.Or(o.UnusedAfter, DefaultUnusedAfter)
	t := topology{view: view, o: o, listener: newListener(view, seen, o.Now, o.UnusedAfter), gateways: gatewaysOf(view, seen.Edges), nodes: map[string]bool{}, edges: map[call]*mesh.TopologyEdge{}}
	if o.Focus == "" {
		t.all()
	} else if err := t.around(seen.Edges); err != nil {
		return mesh.Topology{}, err
	}
	t.routes()
	t.observe(seen.Edges)
	return t.picture(), nil
}

// call is who calls whom.
type call struct{ from, to string }

// topology is a picture under way.
type topology struct {
	view     *catalog.View
	o        TopologyOptions
	listener *listener
	gateways map[mesh.ServiceName]bool // that anybody names or has seen
	near     map[string]bool           // what is shown; nil: everything
	nodes    map[string]bool
	edges    map[call]*mesh.TopologyEdge
}

// all begins the picture of the whole mesh.
func (t *topology) all() {
	for gateway := range t.gateways {
		t.nodes[mesh.GatewayCaller(gateway)] = true
	}
	for service := range t.view.Services() {
		t.nodes[string(service.Name)] = true
		t.declareAll(service)
	}
}

func (t *topology) edge(from, to string) *mesh.TopologyEdge {
	key := call{from, to}
	one := t.edges[key]
	if one == nil {
		one = &mesh.TopologyEdge{From: from, To: to}
		t.edges[key] = one
		t.nodes[from], t.nodes[to] = true, true
	}
	return one
}

func (t *topology) shows(name string) bool { return t.near == nil || t.near[name] }

func (t *topology) declare(from string, to mesh.ServiceName) {
	if t.shows(from) && t.shows(string(to)) {
		t.edge(from, string(to)).Declared = true
	}
}

func (t *topology) declareAll(service *mesh.Service) {
	for _, callee := range service.Dependencies {
		t.declare(string(service.Name), callee)
	}
}

// gatewaysOf gives those that routes name or that anybody has seen.
func gatewaysOf(view *catalog.View, seen []mesh.Edge) map[mesh.ServiceName]bool {
	known := map[mesh.ServiceName]bool{}
	for _, route := range view.Routes() {
		for _, gateway := range route.Gateways {
			known[gateway] = true
		}
	}
	for i := range seen {
		if gateway, is := strings.CutPrefix(seen[i].Caller, mesh.GatewayCaller("")); is {
			known[mesh.ServiceName(gateway)] = true
		}
	}
	return known
}

// servedBy gives the gateways of a route. One that names no gateway is on each
// that is known.
func (t *topology) servedBy(route *mesh.Route) []string {
	if len(t.gateways) == 0 {
		return []string{anyGateway}
	}
	var names []string
	for gateway := range t.gateways {
		if route.ServedBy(gateway) {
			names = append(names, mesh.GatewayCaller(gateway))
		}
	}
	return names
}

// routes are the declarations of gateways.
func (t *topology) routes() {
	for _, route := range t.view.Routes() {
		for _, gateway := range t.servedBy(route) {
			for _, callee := range route.Services() {
				t.declare(gateway, callee)
			}
		}
	}
}

// tried says whether calls that are not declared are part of the picture. Callers
// that nobody knows by name are none.
func (t *topology) tried(one *mesh.Edge) bool {
	return !OfAddress(one.Caller) && (one.Undeclared > 0 || one.Refused > 0) && t.o.Now.Sub(one.LastSeen) <= t.o.UnusedAfter
}

// observe adds what was seen. Calls that were declared once, and that nobody
// tries any more, are no part of the picture.
func (t *topology) observe(seen []mesh.Edge) {
	for i := range seen {
		one := &seen[i]
		if !t.shows(one.Caller) || !t.shows(one.Callee) {
			continue
		}
		if t.edges[call{one.Caller, one.Callee}] == nil && !t.tried(one) {
			continue
		}
		e := t.edge(one.Caller, one.Callee)
		e.Requests, e.Reason = one.Requests, one.Reason
		e.RequestRate, e.ErrorRate, e.RefusedRate = one.RequestRate, one.ErrorRate, one.RefusedRate
		e.FirstSeen, e.LastSeen, e.LastRefused, e.LastAnswered = one.FirstSeen, one.LastSeen, one.LastRefused, one.LastAnswered
	}
	for _, e := range t.edges {
		e.State = t.state(e)
	}
}

func (t *topology) state(e *mesh.TopologyEdge) mesh.EdgeState {
	callee, declared := t.view.Service(mesh.ServiceName(e.To))
	switch {
	case !e.Declared:
		return mesh.EdgeUndeclared
	case !declared:
		return mesh.EdgePending
	case !callee.Access.Admits(e.From) && e.From != anyGateway:
		return mesh.EdgeUnapproved
	case !e.LastRefused.IsZero() && t.o.Now.Sub(e.LastRefused) <= refusedRecently && !mended(t.view, e.To, e.LastRefused, e.LastAnswered, t.o.Now):
		return mesh.EdgeRefused
	}
	switch t.listener.of(e.From, e.To, e.LastSeen) {
	case heard:
		return mesh.EdgeSeen
	case silent:
		return mesh.EdgeUnused
	}
	return mesh.EdgeDeclared
}

// picture sorts what is left.
func (t *topology) picture() mesh.Topology {
	out := mesh.Topology{
		Revision: t.view.Revision(), Focus: t.o.Focus, Depth: t.o.Depth,
		Nodes: make([]mesh.TopologyNode, 0, len(t.nodes)), Edges: make([]mesh.TopologyEdge, 0, len(t.edges)),
	}
	if t.o.Focus == "" {
		out.Depth = 0
	}
	at := make(map[string]int, len(t.nodes))
	for i, name := range slices.Sorted(maps.Keys(t.nodes)) {
		out.Nodes, at[name] = append(out.Nodes, node(t.view, name)), i
	}
	type placed struct {
		from, to int // among the nodes
		edge     *mesh.TopologyEdge
	}
	all := make([]placed, 0, len(t.edges))
	for _, one := range t.edges {
		all = append(all, placed{at[one.From], at[one.To], one})
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Or(a.from-b.from, a.to-b.to) })
	for _, one := range all {
		out.Edges = append(out.Edges, *one.edge)
		callee := &out.Nodes[one.to]
		callee.RequestRate += one.edge.RequestRate
		callee.ErrorRate += one.edge.ErrorRate
	}
	return out
}

func node(view *catalog.View, name string) mesh.TopologyNode {
	out := mesh.TopologyNode{ID: name, Kind: mesh.UnknownNode, Health: mesh.NodeUnknown}
	service, declared := view.Service(mesh.ServiceName(name))
	switch {
	case strings.HasPrefix(name, mesh.GatewayCaller("")):
		out.Kind = mesh.GatewayNode
	case declared:
		out.Kind, out.Owner, out.Protocol = mesh.ServiceNode, service.Owner, service.Protocol
		out.Tier, out.Deprecated = service.Tier, service.Deprecated
		out.Instances, out.Healthy, out.Health = instances(view, service)
	case len(view.Dependents(mesh.ServiceName(name)))+len(view.RoutesTo(mesh.ServiceName(name))) > 0:
		out.Health = mesh.NodePending
	}
	return out
}

// instances says how those of a service are, taken together.
func instances(view *catalog.View, service *mesh.Service) (all, healthy int, health mesh.NodeHealth) {
	faulty := false
	for _, one := range view.Instances(service.Name) {
		all++
		takes := one.Health == "" || one.Health == mesh.Healthy
		if takes {
			healthy++
		}
		faulty = faulty || one.Stale || !takes
	}
	switch {
	case !service.Endpoints.Registered():
		return all, healthy, mesh.NodeUnknown
	case all == 0:
		return 0, 0, mesh.NodeNone
	case healthy == 0:
		return all, 0, mesh.NodeDown
	case faulty:
		return all, healthy, mesh.NodeDegraded
	}
	return all, healthy, mesh.NodeHealthy
}
