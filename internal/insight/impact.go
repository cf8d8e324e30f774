package insight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Impact says who would feel a change of a service, nil for its deletion.
func Impact(ctx context.Context, m Mesh, name mesh.ServiceName, changed *mesh.Service, seen Observed) (mesh.Impact, error) {
	out := mesh.Impact{Service: name, Deleted: changed == nil, Callers: callersOf(m, name, seen)}
	own := ""
	var changes []mesh.Change
	if s, declared := m.View.Service(name); declared {
		own = s.Owner
		if changed == nil {
			changes = []mesh.Change{{Service: s, Deleted: true}}
		}
	}
	if changed != nil {
		changes = []mesh.Change{{Service: changed}}
	}
	owners := map[string]bool{}
	for _, caller := range out.Callers {
		if caller.Distance == 1 {
			owners[caller.Owner] = true
		}
	}
	out.Routes = routesOf(m, name, out.Callers)
	for _, r := range out.Routes {
		if r.Via == "" {
			owners[r.Owner] = true
		}
	}
	for owner := range owners {
		if owner != "" && owner != own {
			out.Owners = append(out.Owners, owner)
		}
	}
	slices.Sort(out.Owners)
	out.Summary = impactWords(&out)
	var err error
	out.Plan, err = Plan(ctx, m, changes)
	return out, err
}

// callersOf goes from the service to its callers, to theirs, and so on.
func callersOf(m Mesh, name mesh.ServiceName, observed Observed) []mesh.ImpactCaller {
	seen := observed.Edges
	edges := map[string]mesh.Edge{}
	listener := newListener(m.View, observed, m.Now, DefaultUnusedAfter)
	traffic := func(c *mesh.ImpactCaller) {
		e := edges[c.Name]
		switch {
		case !e.LastSeen.IsZero():
			c.Traffic, c.LastSeen, c.Rate = "seen", e.LastSeen, e.RequestRate
		case listener.of(c.Name, string(name), time.Time{}) == silent:
			c.Traffic = "never"
		default:
			c.Traffic = "unknown"
		}
	}
	for _, e := range seen {
		if e.Callee == string(name) {
			edges[e.Caller] = e
		}
	}
	out := []mesh.ImpactCaller{}
	met := map[mesh.ServiceName]bool{name: true}
	ring := []mesh.ServiceName{name}
	for distance := 1; len(ring) > 0; distance++ {
		var next []mesh.ServiceName
		for _, via := range ring {
			for _, caller := range m.View.Dependents(via) {
				if met[caller] {
					continue
				}
				met[caller] = true
				next = append(next, caller)
				one := mesh.ImpactCaller{Name: string(caller), Distance: distance, Declared: true}
				if s, declared := m.View.Service(caller); declared {
					one.Owner = s.Owner
				}
				if distance == 1 {
					traffic(&one)
				} else {
					one.Via = via
				}
				out = append(out, one)
			}
		}
		ring = next
	}
	// Whoever calls without having declared it.
	for _, e := range seen {
		if e.Callee != string(name) || met[mesh.ServiceName(e.Caller)] || isGatewayCaller(e.Caller) || OfAddress(e.Caller) {
			continue
		}
		one := mesh.ImpactCaller{Name: e.Caller, Distance: 1, Declared: e.Declared}
		if s, declared := m.View.Service(mesh.ServiceName(e.Caller)); declared {
			one.Owner = s.Owner
		}
		traffic(&one)
		out = append(out, one)
	}
	out = append(out, gatewaysTo(m, name, out, seen, traffic)...)
	slices.SortStableFunc(out, func(a, b mesh.ImpactCaller) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// reached are the service and those who call it, the nearest first.
func reached(name mesh.ServiceName, callers []mesh.ImpactCaller) []mesh.ImpactCaller {
	return append([]mesh.ImpactCaller{{Name: string(name)}}, callers...)
}

// gatewaysTo finds the gateways through which requests come to the service or to its
// callers: those that routes name, and those that were seen to call. Each is told of once,
// by its shortest way.
func gatewaysTo(m Mesh, name mesh.ServiceName, callers []mesh.ImpactCaller, seen []mesh.Edge, traffic func(*mesh.ImpactCaller)) []mesh.ImpactCaller {
	calls := map[string][]mesh.Edge{} // of gateways, by callee
	for _, e := range seen {
		if isGatewayCaller(e.Caller) {
			calls[e.Callee] = append(calls[e.Callee], e)
		}
	}
	var out []mesh.ImpactCaller
	met := map[string]bool{}
	for _, service := range reached(name, callers) {
		found := map[string]bool{} // and whether a route leads from it
		for _, e := range calls[service.Name] {
			found[e.Caller] = e.Declared
		}
		for _, r := range m.View.RoutesTo(mesh.ServiceName(service.Name)) {
			for _, gateway := range r.Gateways {
				found[mesh.GatewayCaller(gateway)] = true
			}
		}
		for _, gateway := range slices.Sorted(maps.Keys(found)) {
			if met[gateway] {
				continue
			}
			met[gateway] = true
			one := mesh.ImpactCaller{Name: gateway, Distance: service.Distance + 1, Declared: found[gateway]}
			if one.Distance == 1 {
				traffic(&one)
			} else {
				one.Via = mesh.ServiceName(service.Name)
			}
			out = append(out, one)
		}
	}
	return out
}

// routesOf are those that lead to the service, and then those that lead to its callers.
func routesOf(m Mesh, name mesh.ServiceName, callers []mesh.ImpactCaller) []mesh.ImpactRoute {
	var out []mesh.ImpactRoute
	met := map[mesh.RouteName]bool{}
	for _, service := range reached(name, callers) {
		for _, r := range m.View.RoutesTo(mesh.ServiceName(service.Name)) {
			if met[r.Name] {
				continue
			}
			met[r.Name] = true
			one := mesh.ImpactRoute{Name: r.Name, Owner: r.Owner, Hosts: r.Hosts, Gateways: r.Gateways}
			if service.Distance > 0 {
				one.Via = mesh.ServiceName(service.Name)
			}
			out = append(out, one)
		}
	}
	return out
}

func isGatewayCaller(name string) bool { return strings.HasPrefix(name, mesh.GatewayCaller("")) }

func impactWords(i *mesh.Impact) string {
	direct, further := 0, 0
	for _, caller := range i.Callers {
		if caller.Distance == 1 {
			direct++
		} else {
			further++
		}
	}
	what := "a change of"
	if i.Deleted {
		what = "the deletion of"
	}
	routes, behind := 0, 0
	for _, r := range i.Routes {
		if r.Via == "" {
			routes++
		} else {
			behind++
		}
	}
	if direct+routes == 0 {
		return fmt.Sprintf("%s %s concerns nobody: no service calls it, and no route leads to it", what, i.Service)
	}
	text := fmt.Sprintf("%s %s concerns %s", what, i.Service, plural(direct, "direct caller"))
	if further > 0 {
		text += fmt.Sprintf(", %d further away", further)
	}
	if routes > 0 {
		text += ", and " + plural(routes, "route")
	}
	if behind > 0 {
		text += fmt.Sprintf(", and %s to callers of it", plural(behind, "route"))
	}
	return text
}
