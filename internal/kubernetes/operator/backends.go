package operator

import (
	"fmt"
	"slices"
	"sync"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// backends is which MeshRoutes lead to which services: they are judged again when one
// of these is declared, becomes another's, or goes.
type backends struct {
	mu     sync.Mutex
	named  map[object][]mesh.ServiceName // guarded by mu, as below
	routes map[mesh.ServiceName]map[object]bool
}

func newBackends() *backends {
	return &backends{named: map[object][]mesh.ServiceName{}, routes: map[mesh.ServiceName]map[object]bool{}}
}

// note keeps the services that a route leads to; none: it is gone.
func (b *backends) note(o object, services ...mesh.ServiceName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Equal(b.named[o], services) {
		return
	}
	for _, name := range b.named[o] {
		if delete(b.routes[name], o); len(b.routes[name]) == 0 {
			delete(b.routes, name)
		}
	}
	delete(b.named, o)
	for _, name := range services {
		if b.routes[name] == nil {
			b.routes[name] = map[object]bool{}
		}
		b.routes[name][o] = true
		b.named[o] = services
	}
}

// leadingTo gives the routes that lead to a service.
func (b *backends) leadingTo(name mesh.ServiceName) []object {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]object, 0, len(b.routes[name]))
	for one := range b.routes[name] {
		out = append(out, one)
	}
	return out
}

// Reasons of what has to be permitted by somebody else.
const (
	notPermitted = "NotPermitted"
	notDeclared  = "NotDeclared"
)

// leadsElsewhere says why a MeshRoute of a namespace may not lead to its services, or "":
// who writes MeshRoutes there exposes what is there, and nothing of anybody else's. What
// is not declared yet may become anybody's: the route waits, and is judged once it is.
func (c *objects) leadsElsewhere(namespace string, services []mesh.ServiceName) (reason, why string) {
	for _, name := range services {
		switch declared, has := c.mirror.inNamespace(name, c.cluster, namespace); {
		case !declared:
			return notDeclared, fmt.Sprintf("service %q is not declared yet, so nobody can tell whose it is: the route is served once it is declared in namespace %s (MeshService, Upstream)", name, namespace)
		case !has:
			return notPermitted, fmt.Sprintf("service %q is not declared in namespace %s, nor do its endpoints.kubernetes name cluster %s and this namespace: put the route into the service's namespace, or have an admin write it through Heddle's API (heddle apply)", name, namespace, c.cluster)
		}
	}
	return "", ""
}

// inNamespace says whether a service is declared, and whether that is in a namespace of
// a cluster, or it has the pods there.
func (m *mirror) inNamespace(name mesh.ServiceName, cluster, namespace string) (declared, has bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.all[name]
	if s == nil || !s.declared {
		return false, false
	}
	below := mesh.OfCluster(cluster) + mesh.Keeper("/"+namespace)
	return true, below.Covers(s.keeper) || s.pods.Has(cluster) && s.pods.Namespace == namespace
}
