package manifest

import (
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// backends looks at the services that a route names.
func (l *linter) backends(o *Object) {
	for i, backend := range o.Route.Backends {
		l.backend(o, at("backends", i), backend.Service, backend.Subset)
	}
	if m := o.Route.Mirror; m != nil {
		l.backend(o, "mirror", m.Service, m.Subset)
	}
}

func (l *linter) backend(o *Object, path string, name mesh.ServiceName, subset string) {
	service := l.services[name]
	if service == nil {
		l.warn(o, path+".service", "no service %q in these files: nothing is sent to it until one is declared", name)
		return
	}
	if !service.Service.Protocol.IsHTTP() {
		l.error(o, path+".service", "%q speaks %s (%s), and gateways serve http, http2 and grpc", name, service.Service.Protocol, service.Locate("protocol", "").Place())
	}
	named := func(s mesh.Subset) bool { return s.Name == subset }
	if subset != "" && !slices.ContainsFunc(service.Service.Subsets, named) {
		l.error(o, path+".subset", "%q is not a subset of %q (%s)", subset, name, service.Locate("subsets", "").Place())
	}
}

// hidden finds routes that ask for the same requests as one before: gateways give
// them to the one that was created first.
func (l *linter) hidden(o *Object) {
	for i, name := range o.Route.Hosts {
		host := mesh.PlainHost(name)
		for _, other := range l.routes[host] {
			if other.Route.Name != o.Route.Name && other.Route.Hides(o.Route) && together(other.Route, o.Route) {
				l.warn(o, at("hosts", i), "route %q (%s) matches the same requests: whichever was created first gets them", other.Route.Name, other.Locate("name", "").Place())
				break
			}
		}
		l.routes[host] = append(l.routes[host], o)
	}
}

// together says whether some gateway serves both.
func together(a, b *mesh.Route) bool {
	if len(a.Gateways) == 0 || len(b.Gateways) == 0 {
		return true
	}
	return slices.ContainsFunc(a.Gateways, b.ServedBy)
}
