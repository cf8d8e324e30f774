package haproxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// What a service has unless it declares another; comparable with what Envoys have.
const (
	defaultConnect  = time.Second
	defaultTimeout  = 15 * time.Second // for an answer of HTTP; gRPC and streams have none
	defaultIdle     = 5 * time.Minute
	defaultTCPIdle  = time.Hour
	defaultAttempts = 2 // after the first
	mostAttempts    = 10
)

// plan is what an HAProxy serves.
type plan struct {
	Listeners []listener // sorted by port
	Services  []service  // sorted by name
}

// listener is a port of which everything goes to one service.
type listener struct {
	Port    mesh.Port
	Service mesh.ServiceName
	TCP     bool
}

// service is what callers have of one.
type service struct {
	Name     mesh.ServiceName
	Protocol mesh.Protocol
	Port     mesh.Port // where it is reached if it speaks TCP, for people
	Connect  time.Duration
	Answer   time.Duration // the longest silence of a server that was asked
	Idle     time.Duration // the longest silence of a tunnel, and of a caller
	Retries  int
	Policy   mesh.Policy
	Slots    []slot // instances in a plan that is wanted; slots in one that runs
}

// state is what becomes of a slot's server.
type state uint8

const (
	gone     state = iota // the slot is free; it keeps the address that it had
	maint                 // unhealthy: gets nothing
	draining              // finishes what it has
	ready
)

// String is HAProxy's word.
func (s state) String() string {
	switch s {
	case ready:
		return "ready"
	case draining:
		return "drain"
	default:
		return "maint"
	}
}

// slot is a server of HAProxy's; one that had none so far has no address.
type slot struct {
	Address netip.AddrPort
	Weight  int
	State   state
}

// planOf gives what host's proxy is to serve, and the problems met. outbound is the port
// of calls by name, which no service may have.
func planOf(v *catalog.View, host mesh.ServiceName, outbound mesh.Port) (plan, []proxy.Problem) {
	var p plan
	var problems []proxy.Problem
	own, declared := v.Service(host)
	if !declared {
		return p, nil
	}
	holders := map[mesh.Port]string{outbound: "the listener of calls by host name"}
	names := slices.Clone(own.Dependencies)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		s, declared := v.Service(name)
		switch {
		case !declared:
			continue
		case !name.Valid() || s.Name != name: // it will be in a configuration
			problems = append(problems, proxy.Problem{Service: name, Message: "it is not served: that is no name of a service"})
			continue
		case !s.Endpoints.Registered():
			problems = append(problems, proxy.Problem{Service: name, Message: "it is not served: HAProxy serves services whose copies are registered"})
			continue
		}
		p.Services = append(p.Services, serviceOf(v, s))
		port := s.ListenerPort
		if port < 1 || port > 65535 {
			continue
		}
		if holder, taken := holders[port]; taken {
			problems = append(problems, proxy.NoPort(s, port, fmt.Sprintf("%s has port %d", holder, port)))
			continue
		}
		holders[port] = fmt.Sprintf("service %q", name)
		p.Listeners = append(p.Listeners, listener{port, name, s.Protocol == mesh.TCP})
	}
	slices.SortFunc(p.Listeners, func(a, b listener) int { return cmp.Compare(a.Port, b.Port) })
	return p, problems
}

func serviceOf(v *catalog.View, s *mesh.Service) service {
	t := s.Traffic
	out := service{
		Name: s.Name, Protocol: s.Protocol, Port: s.ListenerPort, Policy: t.LoadBalancing.Policy,
		Connect: cmp.Or(t.ConnectTimeout.Std(), defaultConnect), Idle: cmp.Or(t.IdleTimeout.Std(), defaultIdle), Retries: defaultAttempts,
	}
	switch {
	case s.Protocol == mesh.TCP:
		out.Idle = cmp.Or(t.IdleTimeout.Std(), defaultTCPIdle)
		out.Answer = out.Idle
	case t.NoTimeout, t.Timeout == 0 && s.Protocol == mesh.GRPC:
		out.Answer = out.Idle
	default:
		out.Answer = cmp.Or(t.Timeout.Std(), defaultTimeout)
	}
	if t.Retries != nil {
		out.Retries = min(max(t.Retries.Attempts, 0), mostAttempts)
	}
	instances := v.Reachable(s.Name)
	heaviest := 1
	for _, one := range instances {
		heaviest = max(heaviest, min(one.Weight, mostWeight))
	}
	for _, one := range instances {
		ip, err := netip.ParseAddr(one.Address)
		if err != nil || ip.Zone() != "" || one.Port < 1 || one.Port > 65535 {
			continue
		}
		out.Slots = append(out.Slots, slot{netip.AddrPortFrom(ip.Unmap(), uint16(one.Port)), weigh(one.Weight, heaviest), stateOf(one.Health)})
	}
	return out
}

const (
	mostWeight     = 1000 // of an instance
	heaviestServer = 256  // of a server of HAProxy's
)

func weigh(weight, heaviest int) int {
	weight = min(max(weight, 1), mostWeight)
	if heaviest > heaviestServer {
		weight = max(weight*heaviestServer/heaviest, 1)
	}
	return weight
}

func stateOf(h mesh.Health) state {
	switch h {
	case mesh.Healthy, "":
		return ready
	case mesh.Draining:
		return draining
	default:
		return maint
	}
}
