package insight

import (
	"cmp"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ServiceProgress says how far the proxies have come that need a service: its own, those of
// the services that declared it, and the gateways with a route to it.
func ServiceProgress(m Mesh, name mesh.ServiceName) mesh.Progress {
	p := progress{mesh: &m, object: "service/" + string(name)}
	p.add(name, false)
	for _, dependent := range m.View.Dependents(name) {
		if dependent != name {
			p.add(dependent, false)
		}
	}
	routes := m.View.RoutesTo(name)
	if len(routes) > 0 {
		p.gateways(func(gateway mesh.ServiceName) bool {
			return slices.ContainsFunc(routes, func(r *mesh.Route) bool { return r.ServedBy(gateway) })
		})
	}
	return p.told()
}

// RouteProgress is the same of a route: the gateways that serve it need it.
func RouteProgress(m Mesh, name mesh.RouteName) mesh.Progress {
	p := progress{mesh: &m, object: "route/" + string(name)}
	if route, there := m.View.Route(name); there {
		p.gateways(route.ServedBy)
	}
	return p.told()
}

type progress struct {
	mesh   *Mesh
	object string
	out    mesh.Progress
}

func (p *progress) add(of mesh.ServiceName, gateway bool) {
	for _, one := range p.mesh.connected(of, gateway) {
		p.out.Proxies++
		waiting, message := one.lacks(p.object)
		switch {
		case message != "":
			p.refuse(one.Node, message)
		case !waiting:
			p.out.Acknowledged++
		}
	}
}

// lacks says whether the proxy has still to take in anything, and with which words it
// refused what follows from an object; what it refused of others does not count.
func (p *Proxy) lacks(object string) (waiting bool, message string) {
	for i := range p.Types {
		t := &p.Types[i]
		waiting = waiting || t.Waiting
		for _, one := range t.Rejected {
			if one.Origin.Object == object {
				return waiting, cmp.Or(one.Message, "it gave no reason")
			}
		}
	}
	return waiting, ""
}

func (p *progress) refuse(node, message string) {
	known := slices.ContainsFunc(p.out.Refused, func(one mesh.ProxyRefusal) bool { return one.Node == node })
	if !known && len(p.out.Refused) < mesh.MostRefusals {
		p.out.Refused = append(p.out.Refused, mesh.ProxyRefusal{Node: node, Message: message})
	}
}

// gateways adds those that need the object.
func (p *progress) gateways(needs func(mesh.ServiceName) bool) {
	if p.mesh.Proxies == nil {
		return
	}
	seen := map[mesh.ServiceName]bool{}
	for _, one := range p.mesh.Proxies("") {
		if isGateway(one.Scope) && !seen[one.Scope.Service] && needs(one.Scope.Service) {
			seen[one.Scope.Service] = true
			p.add(one.Scope.Service, true)
		}
	}
}

// told also has what no proxy is sent any more because one refused it: the others
// acknowledged what was there before.
func (p *progress) told() mesh.Progress {
	for _, q := range p.mesh.Quarantine {
		if q.Origin.Object == p.object {
			p.refuse(q.Node, q.Message)
		}
	}
	p.out.Revision = p.mesh.Applied
	return p.out
}
