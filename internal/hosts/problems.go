package hosts

import (
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Problem is something that cannot be as a host says it, or is not served so by Host's
// proxy. Without a Service it is about all of that proxy, or of its Bridge.
type Problem struct {
	Host, Service, Message string
	Bridge                 bool             // Host's does not do what it should
	Proxy                  bool             // it is about all of Host's
	Port                   mesh.Port        // that the service does not have; 0: it is about something else
	Owner                  mesh.ServiceName // of the port
}

// Refused is the problem of a host that tells of a service what cannot be.
func Refused(host, service string, why error) Problem {
	return Problem{Host: host, Service: ShortReason(service), Message: "no proxy calls it: " + why.Error()}
}

func (f *Fleet) problem(name mesh.ServiceName, c copyOf, message string) {
	f.problems[name] = append(f.problems[name], Problem{Host: c.host, Service: c.service.Name, Message: message})
}

// Missing lists, as problems of this host, the services that it exposes by name and no host
// runs.
func (f *Fleet) Missing(host string) []Problem {
	var list []Problem
	for _, name := range slices.Sorted(maps.Keys(f.exposed)) {
		if f.wanted[name] == nil {
			list = append(list, Problem{Host: host, Service: string(name), Message: "it is exposed here (--expose), and no host runs a service of that name: compare it with heddle hosts services"})
		}
	}
	return list
}

// Problems lists what cannot be as hosts say it: sorted by service, and then by host what
// is of no service, and what is wrong with bridges.
func (f *Fleet) Problems() []Problem {
	var list []Problem
	for _, name := range slices.Sorted(maps.Keys(f.problems)) {
		list = append(list, f.problems[name]...)
	}
	for _, name := range slices.Sorted(maps.Keys(f.hosts)) {
		list = append(list, f.hosts[name].refused...)
	}
	return append(list, f.bridging()...)
}
