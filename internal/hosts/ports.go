package hosts

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// settle gives a port of the proxies to one of those who want it: to who claimed it
// first. Every host that has heard the same gives it to the same one, but a host that
// exposes some services, where the others want nothing.
func (f *Fleet) settle(port mesh.Port) {
	delete(f.taken, port)
	delete(f.beyond, port)
	if len(f.wants[port]) == 0 {
		delete(f.wants, port)
		return
	}
	claims := map[mesh.ServiceName]uint64{}
	for name := range f.wants[port] {
		if f.exposes(name) {
			claims[name] = f.claim(name, port)
		}
	}
	if len(claims) == 0 {
		return
	}
	wanting := slices.SortedFunc(maps.Keys(claims), func(a, b mesh.ServiceName) int {
		return cmp.Or(cmp.Compare(claims[a], claims[b]), cmp.Compare(a, b))
	})
	owner := wanting[0]
	if f.reserved[port] != "" {
		owner = "" // a proxy that is sent it would refuse it
	}
	for name, at := range f.exposed {
		if at == port {
			owner = name // it was chosen on this host
		}
	}
	full := f.exposed[owner] == 0 && f.exposes(owner) && owner != "" && !f.take(port)
	for _, name := range wanting {
		want := *f.wanted[name] // what was given is not written to
		want.ListenerPort = 0
		f.problems[name] = slices.DeleteFunc(f.problems[name], func(p Problem) bool { return p.Port != 0 })
		switch at := f.exposed[name]; {
		case at != 0 && f.reserved[at] != "":
			f.refuse(name, at, "", f.exposedAtReserved(at))
		case at != 0:
			want.ListenerPort = at
		case name == owner && full:
			f.refuse(name, port, "", fmt.Sprintf("this host's proxy has no room for port %d: it may listen at %d ports, as many as its limit of open files allows (ulimit -n, LimitNOFILE), and calls this service by its name alone, and one of TCP only with --intercept", port, f.most))
		case name == owner:
			want.ListenerPort = port
		case owner == "":
			f.refuse(name, port, "", fmt.Sprintf("port %d of this host is that of %s: the service is called by its name alone until it has another ServicePort", port, f.reserved[port]))
		default:
			f.refuse(name, port, owner, fmt.Sprintf("port %d is %q's, which had it first: give the service another ServicePort", port, owner))
		}
		f.wanted[name] = &want
		f.touched[name] = struct{}{}
	}
}

func (f *Fleet) exposedAtReserved(port mesh.Port) string {
	return fmt.Sprintf("port %d of this host is that of %s: the service is exposed at no port until it is given another here", port, f.reserved[port])
}

// take counts a port at which the proxy is to listen; false: it is one too many.
func (f *Fleet) take(port mesh.Port) bool {
	if f.most > 0 && len(f.taken) >= f.most {
		f.beyond[port] = struct{}{}
		return false
	}
	f.taken[port] = struct{}{}
	return true
}

// settleAll gives ports to those who want them, and then what became free to those that
// there was no room for.
func (f *Fleet) settleAll(ports map[mesh.Port]struct{}) {
	for _, port := range f.byClaim(ports) {
		f.settle(port)
	}
	if len(f.taken) >= f.most {
		return
	}
	for _, port := range f.byClaim(f.beyond) {
		if f.settle(port); len(f.taken) >= f.most {
			return
		}
	}
}

// byClaim sorts ports by who was there first of those who want them: where there is no
// room for all, those have it.
func (f *Fleet) byClaim(ports map[mesh.Port]struct{}) []mesh.Port {
	first := make(map[mesh.Port]uint64, len(ports))
	for port := range ports {
		first[port] = math.MaxUint64
		if f.most > 0 {
			for name := range f.wants[port] {
				first[port] = min(first[port], f.claim(name, port))
			}
		}
	}
	return slices.SortedFunc(maps.Keys(ports), func(a, b mesh.Port) int {
		return cmp.Or(cmp.Compare(first[a], first[b]), cmp.Compare(a, b))
	})
}

// claim is the earliest of a service's copies; what ran on forgotten hosts alone comes last.
func (f *Fleet) claim(name mesh.ServiceName, port mesh.Port) uint64 {
	first, any := uint64(math.MaxUint64), false
	for _, c := range f.served[name] {
		if f.hosts[c.host].status != Forgotten && c.port.ServicePort == port && !c.port.ByName && (!any || c.service.Claim < first) {
			first, any = c.service.Claim, true
		}
	}
	return first
}

// refuse tells the hosts of a service's copies that its port is another one's.
func (f *Fleet) refuse(name mesh.ServiceName, port mesh.Port, owner mesh.ServiceName, why string) {
	for _, k := range slices.SortedFunc(maps.Keys(f.served[name]), compareKeys) {
		c := f.served[name][k]
		f.problems[name] = append(f.problems[name], Problem{Host: c.host, Service: c.service.Name, Port: port, Owner: owner, Message: why})
	}
}
