package insight

import (
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
		if _, behind := one.behind(); !behind {
			p.out.Acknowledged++
		}
		if t, refused := one.refused(); refused && len(p.out.Refused) < mesh.MostRefusals && t.Refused.names(p.object) {
			p.out.Refused = append(p.out.Refused, mesh.ProxyRefusal{Node: one.Node, Message: t.Refused.Message})
		}
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

func (p *progress) told() mesh.Progress {
	p.out.Revision = p.mesh.Applied
	return p.out
}

// names says whether an object is behind what was refused.
func (r *Refused) names(object string) bool {
	for _, one := range r.Origins {
		if one.Object == object {
			return true
		}
	}
	return false
}
