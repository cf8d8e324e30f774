package admission

import (
	"fmt"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Ports finds listeners that one sidecar could not open together: those of
// the service's dependencies, and the service's own beside its callers' other
// dependencies.
func Ports(view *catalog.View, service *mesh.Service) mesh.Faults {
	var faults mesh.Faults
	if service.OwnPort() == mesh.DefaultOutboundPort {
		faults.Add(ownPortField(service), "%d is where every sidecar takes its application's HTTP calls: choose another port for %q", service.OwnPort(), service.Name)
	}
	dependencyPortFaults(view, service, &faults)
	callerPortFaults(view, service, &faults)
	return faults
}

// dependencyPortFaults compares what the service's own sidecar would open.
func dependencyPortFaults(view *catalog.View, service *mesh.Service, faults *mesh.Faults) {
	taken := map[mesh.Port]mesh.ServiceName{}
	for i, name := range service.Dependencies {
		callee, known := view.Service(name)
		if !known || callee.OwnPort() == 0 {
			continue
		}
		port, path := callee.OwnPort(), fmt.Sprintf("dependencies[%d]", i)
		if port == mesh.DefaultOutboundPort {
			faults.Add(path, "%q has port %d of its own, where the sidecar of %q takes HTTP calls: give %q another listenerPort", name, port, service.Name, name)
		}
		if other, twice := taken[port]; twice {
			faults.Add(path, "%q and %q both have port %d of their own, and the sidecar of %q can open it only once: give one of them another listenerPort", other, name, port, service.Name)
			continue
		}
		taken[port] = name
	}
}

// callerPortFaults compares the service's port with those that its callers'
// sidecars have open.
func callerPortFaults(view *catalog.View, service *mesh.Service, faults *mesh.Faults) {
	port := service.OwnPort()
	if port == 0 {
		return
	}
	told := map[mesh.ServiceName]bool{}
	for _, name := range view.Dependents(service.Name) {
		caller, known := view.Service(name)
		if !known {
			continue
		}
		for _, other := range caller.Dependencies {
			callee, known := view.Service(other)
			if !known || other == service.Name || callee.OwnPort() != port || told[other] {
				continue
			}
			told[other] = true
			faults.Add(ownPortField(service), "%d is the port of its own of %q too, and %q calls both: its sidecar can open it only once; give %q another listenerPort", port, other, name, service.Name)
		}
	}
}

func ownPortField(service *mesh.Service) string {
	if service.ListenerPort != 0 {
		return "listenerPort"
	}
	return "port"
}
