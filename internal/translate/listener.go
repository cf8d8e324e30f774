package translate

import (
	"fmt"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// listenerAt makes a listener with one chain of one filter.
func listenerAt(name string, at place, direction corev3.TrafficDirection, filter string, config proto.Message) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:             name,
		Address:          socket(at.address, at.port),
		TrafficDirection: direction,
		FilterChains:     []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{typedFilter(filter, config)}}},
		// With SO_REUSEPORT, Envoy's default, a second sidecar that was given the same
		// port by mistake would silently take half of this one's connections.
		EnableReusePort: wrapperspb.Bool(false),
	}
}

func typedFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(config)}}
}

// place is where something listens.
type place struct {
	address string
	port    mesh.Port
}

// overlaps says whether the kernel would refuse to have both.
func (p place) overlaps(q place) bool {
	if p.port != q.port {
		return false
	}
	a, errA := netip.ParseAddr(p.address)
	b, errB := netip.ParseAddr(q.address)
	if errA != nil || errB != nil {
		return true
	}
	a, b = a.Unmap(), b.Unmap()
	// "::" takes IPv4 addresses as well unless it is told otherwise.
	any := func(one, other netip.Addr) bool { return one.IsUnspecified() && (one.Is6() || other.Is4()) }
	return a == b || any(a, b) || any(b, a)
}

// ports are the places taken on the sidecar's machine, in the order of their right to them.
type ports struct {
	taken []struct {
		place
		by string
	}
}

// take notes a place, or says who has it.
func (p *ports) take(at place, by string) (holder string, ok bool) {
	for _, one := range p.taken {
		if one.overlaps(at) {
			return one.by, false
		}
	}
	p.taken = append(p.taken, struct {
		place
		by string
	}{at, by})
	return "", true
}

// claim takes a place for a listener, or tells the problem.
func (b *builder) claim(at place, what string, mend string) bool {
	holder, ok := b.ports.take(at, what)
	if !ok {
		b.problem(b.own.Name, fmt.Sprintf("%s on %s port %d is left out: %s has that port; %s", what, at.address, at.port, holder, mend))
	}
	return ok
}

// application is where the proxy's application listens.
func (b *builder) application() place {
	return place{orAddress(b.scope.Proxy.AppAddress, mesh.DefaultLoopback), b.scope.Proxy.AppPort}
}

func orAddress(address, standard string) string {
	if address == "" {
		return standard
	}
	return canonical(address)
}
