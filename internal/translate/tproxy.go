package translate

import (
	"net/netip"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originalsrcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_src/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// everywhere is where a proxy that takes calls by TPROXY listens.
func (b *builder) everywhere() string {
	if b.scope.Proxy.Intercept.IPv6 {
		return netip.IPv6Unspecified().String()
	}
	return mesh.DefaultInboundAddress
}

// transparentInbound makes the way to an application that sees its callers' addresses:
// a listener for each family, for a caller of IPv6 cannot be given to a socket of IPv4.
// The application is called on loopback: no connection of ours has the addresses and ports
// of a caller's own, and its answers are known by their address (heddle intercept).
func (b *builder) transparentInbound(port mesh.Port, app place) {
	name, cluster, origin := "inbound."+b.scope.Name(), "app."+b.scope.Name(), originOf(b.own)
	if address, err := netip.ParseAddr(app.address); err == nil && address.Is6() {
		app.address = mesh.DefaultLoopback
	}
	b.add(TypeListener, name, b.inTheCallersName(b.inboundListener(name, place{mesh.DefaultInboundAddress, port}, cluster, app)), origin)
	if !b.scope.Proxy.Intercept.IPv6 {
		return
	}
	// The mark is last: in front it would be a service's name.
	name, cluster = name+".ipv6", cluster+".ipv6"
	app.address = netip.IPv6Loopback().String()
	b.add(TypeListener, name, b.inTheCallersName(b.inboundListener(name, place{netip.IPv6Unspecified().String(), port}, cluster, app)), origin)
}

// inTheCallersName has a listener take connections that were for another port, and call
// the application from where they came. That is noted first: when another filter has waited
// in vain for a caller's first bytes, Envoy leaves out all that come after it.
func (b *builder) inTheCallersName(l *listenerv3.Listener) *listenerv3.Listener {
	l.Transparent = wrapperspb.Bool(true)
	l.ListenerFilters = slices.Insert(l.ListenerFilters, 0, &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.original_src",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&originalsrcv3.OriginalSrc{})},
	})
	return l
}
