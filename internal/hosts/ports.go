package hosts

import (
	"fmt"
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// settle gives a port of the proxies to one of those who want it: who has it keeps it.
func (f *Fleet) settle(port mesh.Port, touched map[mesh.ServiceName]struct{}) {
	wanting := slices.Sorted(maps.Keys(f.wants[port]))
	if len(wanting) == 0 {
		delete(f.wants, port)
		delete(f.owners, port)
		return
	}
	owner := f.owners[port]
	if !slices.Contains(wanting, owner) {
		owner = wanting[0]
		f.owners[port] = owner
	}
	for _, name := range wanting {
		want := *f.wanted[name] // what was given is not written to
		want.ListenerPort = 0
		f.problems[name] = slices.DeleteFunc(f.problems[name], func(p Problem) bool { return p.port })
		if name == owner {
			want.ListenerPort = port
		} else {
			for _, k := range slices.SortedFunc(maps.Keys(f.copies[name]), compareKeys) {
				c := f.copies[name][k]
				f.problems[name] = append(f.problems[name], Problem{Host: c.host, Service: c.service.Name, port: true,
					Message: fmt.Sprintf("port %d is %q's, which had it first: give the service another ServicePort", port, owner)})
			}
		}
		f.wanted[name] = &want
		touched[name] = struct{}{}
	}
}
