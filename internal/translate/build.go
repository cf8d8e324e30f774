package translate

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Build makes everything that a scope may see, sorted by type and name, and
// the problems met. A scope whose service is not declared sees nothing; a
// gateway need not be declared.
func Build(v *catalog.View, s Scope, t Trust) ([]Resource, []Problem) {
	if s.Proxy.Profile == mesh.GatewayProfile {
		b := &builder{view: v, scope: s, trust: &t}
		b.gateway()
		b.tell()
		sortResources(b.resources)
		return b.resources, b.problems
	}
	own, declared := v.Service(s.Service)
	if !declared {
		return nil, nil
	}
	b := &builder{view: v, scope: s, trust: &t, own: own}
	b.plan()
	if s.Proxy.Profile == mesh.Proxyless {
		b.proxyless()
		sortResources(b.resources)
		return b.resources, b.problems
	}
	b.trusted()
	b.authorizer()
	b.claimPorts()
	b.inbound()
	for _, d := range b.dependencies {
		b.dependency(d)
	}
	b.strayPorts()
	b.outbound()
	b.transparent()
	b.runtime()
	b.tell()
	sortResources(b.resources)
	return b.resources, b.problems
}

// builder gathers the resources of one scope.
type builder struct {
	view            *catalog.View
	scope           Scope
	trust           *Trust
	own             *mesh.Service
	dependencies    []dependency // sorted by name
	ports           ports
	outboundOpen    bool  // the outbound listener has its port
	transparentOpen bool  // the listener of intercepted connections has its port
	virtual         ports // the addresses of names that listeners have
	trustsSystem    bool  // the secret of that name is made
	resources       []Resource
	problems        []Problem
}

// dependency is a service that the scope's own service declared.
type dependency struct {
	name    mesh.ServiceName
	service *mesh.Service // nil: pending, nothing of that name is declared
}

// plan finds the dependencies and sorts them by name, so that their order in the
// declaration changes nothing.
func (b *builder) plan() {
	names := slices.Clone(b.own.Dependencies)
	slices.Sort(names)
	for _, name := range names {
		service, _ := b.view.Service(name)
		b.dependencies = append(b.dependencies, dependency{name, service})
	}
}

// dependency makes what all callers of a service share, and its own listener.
func (b *builder) dependency(d dependency) {
	if d.service == nil {
		return
	}
	b.upstream(d.service)
	b.refusedPlain(d.service)
	b.resources = append(b.resources, Endpoints(b.view, d.name)...)
	b.ownListeners(d.service)
}

func (b *builder) add(typeURL, name string, m proto.Message, origin Origin) *Resource {
	b.resources = append(b.resources, Resource{Type: typeURL, Name: name, Message: m, Origin: origin})
	return &b.resources[len(b.resources)-1]
}

func (b *builder) problem(service mesh.ServiceName, message string) {
	b.problems = append(b.problems, Problem{Object: objectName(service), Message: message})
}

func sortResources(list []Resource) {
	slices.SortFunc(list, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
}
