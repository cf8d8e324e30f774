package api

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Fleet is a snapshot of the fleet: /api/v1/fleet, and each event of /api/v1/watch.
type Fleet struct {
	Fleet    string    `json:"fleet"`
	Host     string    `json:"host"`    // that sees it so
	Agent    string    `json:"agent"`   // its program's version
	Epoch    string    `json:"epoch"`   // of this run of the agent: versions are compared within it
	Version  uint64    `json:"version"` // one more with each change
	Changed  time.Time `json:"changed"`
	Members  []Member  `json:"members"` // sorted by name
	Problems []Problem `json:"problems"`
}

// Member is a host.
type Member struct {
	Name     string          `json:"name"`
	Address  string          `json:"address"` // of its gossip, host:port
	Status   string          `json:"status"`  // alive or failed
	Seen     time.Time       `json:"seen"`    // when this host last heard something new of it
	Services []hosts.Service `json:"services"`
}

// Problem is what cannot be as a host says it, or is not served so by the host's proxy.
type Problem struct {
	Host    string           `json:"host"`
	Service string           `json:"service"` // "": it is about the host
	Message string           `json:"message"`
	Proxy   bool             `json:"proxy,omitempty"`  // it is about all of the host's proxy
	Bridge  bool             `json:"bridge,omitempty"` // the host's bridge does not do what it should
	Port    mesh.Port        `json:"port,omitempty"`   // that the service does not have
	Owner   mesh.ServiceName `json:"owner,omitempty"`  // which has it
}

// Service is what a fleet runs under one name.
type Service struct {
	Name     string           `json:"name"` // as its owner calls it
	MeshName mesh.ServiceName `json:"meshName"`
	Mode     hosts.Mode       `json:"proxyMode"`
	Ports    []mesh.Port      `json:"servicePorts,omitempty"` // where proxies listen for it
	Healthy  int              `json:"healthy"`                // copies that get requests
	Copies   []Copy           `json:"copies"`                 // sorted by host and ID
	Problems []string         `json:"problems,omitempty"`
}

// Copy is one copy of a service.
type Copy struct {
	Host string `json:"host"`
	Lost bool   `json:"lost,omitempty"` // its host is: it is as it was said last
	hosts.Service
}

// The statuses of members.
const (
	MemberAlive  = "alive"
	MemberFailed = "failed"
)

func (s *Server) fleet(state *hosts.State) Fleet {
	f := FleetOf(state)
	f.Agent, f.Epoch = s.cfg.Version, s.epoch
	return f
}

// FleetOf tells a snapshot.
func FleetOf(state *hosts.State) Fleet {
	f := Fleet{Fleet: state.Fleet, Host: state.Self, Version: state.Version, Changed: state.Changed.UTC(), Members: make([]Member, 0, len(state.Hosts)), Problems: []Problem{}}
	for _, h := range state.Hosts {
		one := Member{Name: h.Name, Address: h.Address.String(), Status: MemberAlive, Seen: h.Seen.UTC(), Services: make([]hosts.Service, 0, len(h.Services))}
		if h.Status != hosts.Alive {
			one.Status = MemberFailed
		}
		for _, s := range h.Services {
			s.Health, s.Mode = cmp.Or(s.Health, hosts.Healthy), cmp.Or(s.Mode, hosts.HTTPMode)
			one.Services = append(one.Services, s)
		}
		f.Members = append(f.Members, one)
	}
	for _, p := range state.Problems {
		f.Problems = append(f.Problems, Problem{Host: p.Host, Service: p.Service, Message: p.Message, Bridge: p.Bridge, Proxy: p.Proxy, Port: p.Port, Owner: p.Owner})
	}
	return f
}

// About says what has a problem.
func (p Problem) About() string {
	switch {
	case p.Service != "":
		return p.Service
	case p.Bridge:
		return "the bridge"
	case p.Proxy:
		return "the proxy"
	}
	return "the agent"
}

// State gives a snapshot back as it was told, for [hosts.Events]; nil for nil.
func (f *Fleet) State() *hosts.State {
	if f == nil {
		return nil
	}
	state := &hosts.State{Fleet: f.Fleet, Self: f.Host, Version: f.Version, Changed: f.Changed}
	for _, m := range f.Members {
		h := hosts.Host{Name: m.Name, Seen: m.Seen, Services: m.Services}
		if m.Status != MemberAlive {
			h.Status = hosts.Failed
		}
		state.Hosts = append(state.Hosts, h)
	}
	return state
}

// byName gives what runs by name; copies and ports as they come.
func (f *Fleet) byName() map[string]*Service {
	services := map[string]*Service{}
	for _, m := range f.Members {
		for _, s := range m.Services {
			one := services[s.Name]
			if one == nil {
				one = &Service{Name: s.Name, MeshName: hosts.MeshName(s.Name), Mode: s.Mode}
				services[s.Name] = one
			}
			lost := m.Status != MemberAlive
			if !lost && s.Health == hosts.Healthy {
				one.Healthy++
			}
			for _, p := range s.Ports {
				if p.ServicePort != 0 && !p.ByName && p.Type != "udp" && !f.refused(s.Name, p.ServicePort) && !slices.Contains(one.Ports, p.ServicePort) {
					one.Ports = append(one.Ports, p.ServicePort)
				}
			}
			one.Copies = append(one.Copies, Copy{Host: m.Name, Lost: lost, Service: s})
		}
	}
	return services
}

// refused says whether a port that a service wants is another one's.
func (f *Fleet) refused(service string, port mesh.Port) bool {
	return slices.ContainsFunc(f.Problems, func(p Problem) bool {
		return p.Port == port && hosts.MeshName(p.Service) == hosts.MeshName(service)
	})
}

// Services gives what a fleet runs, sorted by name.
func (f Fleet) Services() []Service {
	byName := f.byName()
	problems := map[mesh.ServiceName][]string{}
	for _, p := range f.Problems {
		if name := hosts.MeshName(p.Service); !slices.Contains(problems[name], p.Message) {
			problems[name] = append(problems[name], p.Message)
		}
	}
	list := make([]Service, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		one := byName[name]
		slices.Sort(one.Ports)
		slices.SortStableFunc(one.Copies, func(a, b Copy) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.ID, b.ID)) })
		one.Problems = slices.Clone(problems[one.MeshName])
		list = append(list, *one)
	}
	return list
}
