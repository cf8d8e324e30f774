package hosts

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// State is a snapshot of a fleet, as one host sees it. It is not written to.
type State struct {
	Fleet    string
	Self     string // the host that sees it so
	Version  uint64 // one more with each change; counted by this run of this host alone
	Changed  time.Time
	Hosts    []Host    // sorted by name
	Problems []Problem // what cannot be as hosts say it
}

// Host is one host of a snapshot.
type Host struct {
	Name     string
	Address  netip.AddrPort // of its gossip
	Status   Status
	Meta     Meta
	Bridge   *Bridge   // nil: it is none, or has said nothing yet since it began
	Seen     time.Time // when this host last heard something new of it, by its own clock
	Services []Service // sorted by ID and source; of a host that failed, what it ran last
}

// Names gives what the owners of services of the mesh call them.
func (s *State) Names() map[mesh.ServiceName]string {
	names := map[mesh.ServiceName]string{}
	for _, h := range s.Hosts {
		for _, one := range h.Services {
			one.each(func(is mesh.ServiceName, _ Port) { names[is] = one.Name })
		}
	}
	return names
}

// Host gives a host by name.
func (s *State) Host(name string) (Host, bool) {
	if i, found := slices.BinarySearchFunc(s.Hosts, name, func(h Host, name string) int { return cmp.Compare(h.Name, name) }); found {
		return s.Hosts[i], true
	}
	return Host{}, false
}

// Event is what happened to one copy of a service between two snapshots.
type Event struct {
	Host     string
	Service  Service // as it is; of one that is gone, as it was
	Previous Health  // "" for one that is new
	Gone     bool    // it is not there any more, or its host is lost
}

// Events lists what differs between two snapshots, sorted by host, ID and source; old may be nil.
// What is on a host that failed counts as gone.
func Events(old, now *State) []Event {
	before, after := old.copies(), now.copies()
	var events []Event
	for _, k := range slices.SortedFunc(maps.Keys(before), compareKeys) {
		if _, still := after[k]; !still {
			events = append(events, Event{Host: k.host, Service: before[k], Previous: before[k].health(), Gone: true})
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(after), compareKeys) {
		was, there := before[k]
		switch is := after[k]; {
		case !there:
			events = append(events, Event{Host: k.host, Service: is})
		case !was.Same(is):
			events = append(events, Event{Host: k.host, Service: is, Previous: was.health()})
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int {
		return compareKeys(keyOf(a.Host, a.Service, Port{}), keyOf(b.Host, b.Service, Port{}))
	})
	return events
}

func (s *State) copies() map[key]Service {
	list := map[key]Service{}
	if s == nil {
		return list
	}
	for _, h := range s.Hosts {
		if h.Status != Alive {
			continue
		}
		for _, one := range h.Services {
			list[keyOf(h.Name, one, Port{})] = one
		}
	}
	return list
}

// Lost gives the copies of hosts that failed: whether they have ended nobody knows.
func (s *State) Lost() map[mesh.InstanceKey]struct{} {
	lost := map[mesh.InstanceKey]struct{}{}
	for _, h := range s.Hosts {
		if h.Status == Alive {
			continue
		}
		for _, one := range h.Services {
			one.each(func(service mesh.ServiceName, p Port) {
				id := instanceID(keyOf(h.Name, one, p), copyOf{h.Name, one, p})
				lost[mesh.InstanceKey{Service: service, ID: id}] = struct{}{}
			})
		}
	}
	return lost
}

func (s Service) health() Health { return cmp.Or(s.Health, Healthy) }
