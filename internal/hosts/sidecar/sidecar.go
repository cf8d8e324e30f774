package sidecar

import (
	"cmp"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Status is a health as Sidecar numbers it.
type Status int

// Statuses (Sidecar's service/service.go).
const (
	Alive Status = iota
	Tombstone
	Unhealthy
	Unknown
	Draining
)

func statusOf(h hosts.Health) Status {
	switch h {
	case hosts.Unhealthy:
		return Unhealthy
	case hosts.Unknown:
		return Unknown
	case hosts.Draining:
		return Draining
	default:
		return Alive
	}
}

// Port is a port of a service.
type Port struct {
	Type        string
	Port        int64
	ServicePort int64
	IP          string
}

// Service is one copy of a service.
type Service struct {
	ID        string
	Name      string
	Image     string
	Created   time.Time
	Hostname  string
	Ports     []Port
	Updated   time.Time
	ProxyMode string
	Status    Status
}

// Server is a host and what it runs, by ID.
type Server struct {
	Name        string
	Services    map[string]*Service
	LastUpdated time.Time
	LastChanged time.Time
}

// State is the whole fleet, by host: /api/state.json.
type State struct {
	Servers     map[string]*Server
	LastChanged time.Time
	ClusterName string
	Hostname    string
}

// Member is a host that is there.
type Member struct {
	Name         string
	LastUpdated  time.Time
	ServiceCount int
}

// Services is the whole fleet, by service: /api/services.json. Of one service it has no
// members.
type Services struct {
	Services       map[string][]*Service
	ClusterMembers map[string]*Member `json:",omitempty"`
	ClusterName    string
}

// ChangeEvent is what happened to one copy.
type ChangeEvent struct {
	Service        Service
	PreviousStatus Status
	Time           time.Time
}

// Event is what a listener is sent: what happened, and the fleet after it.
type Event struct {
	State       *State
	ChangeEvent ChangeEvent
}

// StateOf gives a snapshot by host.
func StateOf(s *hosts.State) *State {
	state := &State{Servers: map[string]*Server{}, LastChanged: moment(s.Changed), ClusterName: s.Fleet, Hostname: s.Self}
	for _, h := range s.Hosts {
		if len(h.Services) == 0 { // as one that Sidecar never heard of a service of
			continue
		}
		server := &Server{Name: h.Name, Services: map[string]*Service{}, LastUpdated: moment(h.Seen), LastChanged: moment(h.Seen)}
		for _, one := range h.Services {
			id := one.ID
			if _, taken := server.Services[id]; taken { // by another source on the host
				id = one.Source + "/" + id
			}
			server.Services[id] = serviceOf(h, one)
		}
		state.Servers[h.Name] = server
	}
	return state
}

// ByService gives a snapshot's copies by the names of services, each those that changed
// first first: what /api/watch streams.
func ByService(s *hosts.State) map[string][]*Service {
	services := map[string][]*Service{}
	for _, h := range s.Hosts {
		for _, one := range h.Services {
			services[one.Name] = append(services[one.Name], serviceOf(h, one))
		}
	}
	for _, list := range services {
		slices.SortStableFunc(list, func(a, b *Service) int {
			return cmp.Or(a.Updated.Compare(b.Updated), cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.ID, b.ID))
		})
	}
	return services
}

// ServicesOf gives a snapshot by service, with its members.
func ServicesOf(s *hosts.State) Services {
	list := Services{Services: ByService(s), ClusterMembers: map[string]*Member{}, ClusterName: s.Fleet}
	for _, h := range s.Hosts {
		if h.Status == hosts.Alive {
			list.ClusterMembers[h.Name] = &Member{Name: h.Name, LastUpdated: moment(h.Seen), ServiceCount: len(h.Services)}
		}
	}
	return list
}

// EventOf tells a change within a snapshot, as having been at a time: receivers leave out
// events whose State.LastChanged is not after that of the one before.
func EventOf(e hosts.Event, s *hosts.State, at time.Time) Event {
	state := StateOf(s)
	state.LastChanged = at.UTC()
	one := serviceOf(hosts.Host{Name: e.Host}, e.Service)
	if e.Gone {
		one.Status = Tombstone
	}
	previous := Unknown // what Sidecar says of what is new
	if e.Previous != "" {
		previous = statusOf(e.Previous)
	}
	return Event{State: state, ChangeEvent: ChangeEvent{Service: *one, PreviousStatus: previous, Time: at.UTC()}}
}

func serviceOf(h hosts.Host, s hosts.Service) *Service {
	one := &Service{
		ID: s.ID, Name: s.Name, Image: s.Image, Created: moment(s.Created), Hostname: h.Name, Ports: make([]Port, 0, len(s.Ports)),
		Updated: moment(s.Updated), ProxyMode: string(cmp.Or(s.Mode, hosts.HTTPMode)), Status: statusOf(s.Health),
	}
	if h.Status != hosts.Alive {
		one.Status = Tombstone
	}
	for _, p := range s.Ports {
		address := s.Address
		if p.Address.IsValid() {
			address = p.Address
		}
		port := Port{Type: cmp.Or(p.Type, "tcp"), Port: int64(p.Port), ServicePort: int64(p.ServicePort)}
		if address.IsValid() {
			port.IP = address.String()
		}
		one.Ports = append(one.Ports, port)
	}
	return one
}

// moment gives a time as Sidecar does: what is not known was in 1970.
func moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}
