package hosts

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Status is whether a host is there; what it runs is judged by it.
type Status int

// Statuses.
const (
	Alive  Status = iota
	Failed        // perhaps it is only out of reach
	Left          // with what it ran
	// Forgotten failed so long ago that nobody counts on it. What it ran is ended, unless
	// most of a service's copies are lost: then it may be this host that is cut off.
	Forgotten
)

// Fleet follows what hosts run. It is not safe for concurrent use.
type Fleet struct {
	self     mesh.ServiceName               // the host proxy, which calls all that are exposed
	exposed  map[mesh.ServiceName]mesh.Port // nil: all
	reserved map[mesh.Port]string
	most     int                    // ports at which the proxy may listen; 0: any number
	taken    map[mesh.Port]struct{} // of those
	beyond   map[mesh.Port]struct{} // that there was no room for
	hosts    map[string]host
	copies   map[mesh.ServiceName]map[key]copyOf // what is wanted, by service
	served   map[mesh.ServiceName]map[key]copyOf // of those, without namesakes
	wanted   map[mesh.ServiceName]*mesh.Service  // as they are to be
	wants    map[mesh.Port]map[mesh.ServiceName]struct{}
	services map[mesh.ServiceName]*mesh.Service // as last given
	given    map[mesh.ServiceName]map[mesh.InstanceID]*mesh.Instance
	lost     map[mesh.ServiceName]map[mesh.InstanceID]*mesh.Instance // given, and on hosts that failed since
	bridges  map[string]bridge
	heard    map[mesh.ServiceName]heard // what is known of the mesh's services
	problems map[mesh.ServiceName][]Problem
	touched  map[mesh.ServiceName]struct{} // since changes were given last
}

type host struct {
	status   Status
	services []Service
	refused  []Problem
}

// key tells copies apart: one host may run several, on several ports, and what two of
// its sources found may have one ID.
type key struct {
	host, source, id string
	port             mesh.Port
	address          netip.Addr // of the port, if it has its own
}

func keyOf(host string, s Service, p Port) key {
	return key{host: host, source: s.Source, id: s.ID, port: p.Port, address: p.Address}
}

type copyOf struct {
	host    string
	service Service
	port    Port
}

// NewFleet makes one without hosts. self is the name of the service that stands for
// this host's proxy in the mesh: it calls the others that are exposed, each at the
// port given or else at its own (0); nil exposes all.
func NewFleet(self mesh.ServiceName, exposed map[mesh.ServiceName]mesh.Port) *Fleet {
	return &Fleet{
		self: self, exposed: exposed, hosts: map[string]host{}, copies: map[mesh.ServiceName]map[key]copyOf{}, served: map[mesh.ServiceName]map[key]copyOf{},
		wanted: map[mesh.ServiceName]*mesh.Service{}, wants: map[mesh.Port]map[mesh.ServiceName]struct{}{},
		services: map[mesh.ServiceName]*mesh.Service{}, given: map[mesh.ServiceName]map[mesh.InstanceID]*mesh.Instance{},
		lost:    map[mesh.ServiceName]map[mesh.InstanceID]*mesh.Instance{},
		bridges: map[string]bridge{}, heard: map[mesh.ServiceName]heard{},
		problems: map[mesh.ServiceName][]Problem{}, touched: map[mesh.ServiceName]struct{}{},
		taken: map[mesh.Port]struct{}{}, beyond: map[mesh.Port]struct{}{},
	}
}

// Reserve keeps ports from all services, on this host, and gives back those that it kept
// before: what already listens there, by port.
func (f *Fleet) Reserve(ports map[mesh.Port]string) {
	f.reserved = ports
	for name := range f.exposed {
		if f.wanted[name] != nil {
			f.touched[name] = struct{}{}
		}
	}
	all := map[mesh.Port]struct{}{}
	for port := range f.wants {
		all[port] = struct{}{}
	}
	f.settleAll(all)
}

// Limit bounds at how many ports of services this host's proxy listens; the others are
// called by name alone. 0: it is not bounded. It is called before anything is set.
func (f *Fleet) Limit(ports int) { f.most = ports }

// Start gives the first change: the host proxy's own service.
func (f *Fleet) Start() []mesh.Change { return f.declareSelf() }

// Set takes what a host runs, all of it; Changes gives what follows. A host that failed
// or is forgotten may be without services: those that it ran last count. refused is what
// the host says beside that cannot be.
func (f *Fleet) Set(name string, status Status, services []Service, refused ...Problem) {
	f.lose(name, status)
	f.forget(name)
	if _, known := f.hosts[name]; status == Left || status == Forgotten && !known {
		delete(f.hosts, name)
		return
	}
	if (status == Failed || status == Forgotten) && services == nil {
		services = f.hosts[name].services
	}
	f.hosts[name] = host{status, services, refused}
	f.add(name, services)
}

// Changes gives what has changed in the mesh since it was asked last; what changed
// and changed back is not in it.
func (f *Fleet) Changes() []mesh.Change {
	wanted := map[mesh.Port]struct{}{}
	for service := range f.touched {
		f.describe(service, wanted)
	}
	f.settleAll(wanted)
	touched := slices.Sorted(maps.Keys(f.touched))
	clear(f.touched)
	return f.changes(touched)
}

// changes compares what is wanted of services with what was given of them last.
func (f *Fleet) changes(touched []mesh.ServiceName) []mesh.Change {
	var changes []mesh.Change
	others := false // than before
	for _, name := range touched {
		old, want := f.services[name], f.wanted[name]
		others = others || (old == nil) != (want == nil)
		if want == nil {
			delete(f.services, name)
			changes = append(changes, f.instances(name, nil)...)
			delete(f.given, name)
			delete(f.lost, name)
			if old != nil {
				changes = append(changes, mesh.Change{Service: old, Deleted: true})
			}
			continue
		}
		if !reflect.DeepEqual(old, want) {
			f.services[name] = want
			changes = append(changes, mesh.Change{Service: want})
		}
		changes = append(changes, f.instances(name, f.served[name])...)
	}
	if others {
		changes = append(changes, f.declareSelf()...)
	}
	return changes
}

// forget takes a host's copies away.
func (f *Fleet) forget(name string) {
	for _, s := range f.hosts[name].services {
		f.each(s, func(service mesh.ServiceName, port Port) {
			f.touched[service] = struct{}{}
			delete(f.copies[service], keyOf(name, s, port))
		})
	}
}

func (f *Fleet) add(name string, services []Service) {
	for _, s := range services {
		f.each(s, func(service mesh.ServiceName, port Port) {
			f.touched[service] = struct{}{}
			if f.copies[service] == nil {
				f.copies[service] = map[key]copyOf{}
			}
			f.copies[service][keyOf(name, s, port)] = copyOf{name, s, port}
		})
	}
}

// each calls with the mesh's services that a host's service is a copy of: one for each
// of its ports that proxies listen for. The lowest has the plain name.
func (f *Fleet) each(s Service, call func(mesh.ServiceName, Port)) {
	if MeshName(s.Name) != f.self {
		s.each(call)
	}
}

func (s Service) each(call func(mesh.ServiceName, Port)) {
	name := MeshName(s.Name)
	if name == "" {
		return
	}
	lowest := mesh.Port(0)
	for _, p := range s.Ports {
		if p.proxied() && (lowest == 0 || p.ServicePort < lowest) {
			lowest = p.ServicePort
		}
	}
	for _, p := range s.Ports {
		switch {
		case !p.proxied():
		case p.ServicePort == lowest:
			call(name, p)
		default:
			call(mesh.ServiceName(fmt.Sprintf("%s-%d", name, p.ServicePort)), p)
		}
	}
}

func (p Port) proxied() bool {
	return p.ServicePort != 0 && p.Port != 0 && (p.Type == "" || p.Type == "tcp")
}

// describe makes the declaration that stands for what hosts run under a name; where
// they differ, most count. It notes the ports that it wanted before and wants now.
func (f *Fleet) describe(name mesh.ServiceName, ports map[mesh.Port]struct{}) {
	f.bury(name)
	if len(f.copies[name]) == 0 {
		delete(f.copies, name)
	}
	copies := f.heeded(name, f.copies[name])
	if old := f.wanted[name]; old != nil {
		ports[old.Port] = struct{}{}
		delete(f.wants[old.Port], name)
		delete(f.wanted, name)
	}
	delete(f.problems, name)
	if len(copies) == 0 {
		delete(f.served, name)
		return
	}
	copies = f.namesakes(name, copies)
	f.served[name] = copies
	port := most(copies, func(c copyOf) mesh.Port { return c.port.ServicePort })
	protocol := most(copies, func(c copyOf) mesh.Protocol { return c.service.Mode.protocol() })
	for _, k := range slices.SortedFunc(maps.Keys(copies), compareKeys) {
		if c := copies[k]; c.port.ServicePort != port || c.service.Mode.protocol() != protocol {
			f.problem(name, c, fmt.Sprintf("most copies of it speak %s at port %d; this one says %s at %d, which is not heeded", protocol, port, c.service.Mode.protocol(), c.port.ServicePort))
		}
	}
	f.wanted[name] = &mesh.Service{Name: name, Owner: "hosts", Protocol: protocol, Port: port, ListenerPort: f.exposed[name], Dependencies: []mesh.ServiceName{}}
	treat(f.wanted[name])
	if byName(copies) {
		if at := f.exposed[name]; at != 0 && f.reserved[at] != "" {
			f.wanted[name].ListenerPort = 0
			f.refuse(name, at, "", f.exposedAtReserved(at))
		}
		return
	}
	ports[port] = struct{}{}
	if f.wants[port] == nil {
		f.wants[port] = map[mesh.ServiceName]struct{}{}
	}
	f.wants[port][name] = struct{}{}
}

// byName says whether no copy wants a port of its own on the proxies.
func byName(copies map[key]copyOf) bool {
	for _, c := range copies {
		if !c.port.ByName {
			return false
		}
	}
	return true
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.id, b.id), cmp.Compare(a.source, b.source), cmp.Compare(a.port, b.port), a.address.Compare(b.address))
}

// most gives what most copies say; of two said as often, the lesser.
func most[V cmp.Ordered](copies map[key]copyOf, of func(copyOf) V) V {
	counts := map[V]int{}
	for _, c := range copies {
		counts[of(c)]++
	}
	best, first := *new(V), true
	for value, count := range counts {
		if first || count > counts[best] || count == counts[best] && value < best {
			best, first = value, false
		}
	}
	return best
}

// declareSelf gives the host proxy's own declaration: it calls all services.
func (f *Fleet) declareSelf() []mesh.Change {
	calls := []mesh.ServiceName{}
	for _, name := range slices.Sorted(maps.Keys(f.services)) {
		if f.exposes(name) {
			calls = append(calls, name)
		}
	}
	return []mesh.Change{{Service: &mesh.Service{Name: f.self, Owner: "hosts", Protocol: mesh.HTTP, Port: 1, Dependencies: calls}}}
}

func (f *Fleet) exposes(name mesh.ServiceName) bool {
	_, chosen := f.exposed[name]
	return chosen || f.exposed == nil
}
