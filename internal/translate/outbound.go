package translate

import (
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// outbound makes the one listener on which the application calls its HTTP
// dependencies by host name, and the routes behind it, which depend on the
// service alone and are shared by all its proxies.
func (b *builder) outbound() {
	if b.outboundOpen {
		listener := "outbound." + b.scope.Name()
		b.add(TypeListener, listener, listenerAt(listener, b.outboundPlace(), corev3.TrafficDirection_OUTBOUND, hcmFilter, b.byHost("outbound")), originOf(b.own))
	}
	if !b.outboundOpen && !b.transparentOpen {
		return
	}
	from := []*mesh.Service{b.own}
	for _, d := range b.dependencies {
		if d.service != nil {
			from = append(from, d.service)
		}
	}
	routes := b.outboundName()
	b.add(TypeRoute, routes, b.outboundRoutes(routes), newest(from...))
}

func (b *builder) outboundName() string { return b.shared("outbound." + string(b.own.Name)) }

// byHost is where the application's requests come in that name their dependency
// by the host alone.
func (b *builder) byHost(stats string) *hcmv3.HttpConnectionManager {
	m := b.outboundHTTP(stats, b.outboundName())
	m.StripTrailingHostDot = true // "orders.mesh." is "orders.mesh" in full
	return m
}

// outboundHTTP is where the application's requests come in.
func (b *builder) outboundHTTP(stats, routes string) *hcmv3.HttpConnectionManager {
	m := reporting(withRoutes(httpManager(stats), routes), b.calls())
	m.AlwaysSetRequestIdInResponse = true
	switch {
	case b.pushed():
		m.LocalReplyConfig = &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{untokened()}}
	case b.asks():
		m.HttpFilters = slices.Insert(m.HttpFilters, 0, asking())
		m.LocalReplyConfig = &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{unanswered()}}
	}
	return m
}

func (b *builder) outboundPlace() place {
	at := place{orAddress(b.scope.Proxy.OutboundAddress, mesh.DefaultLoopback), b.scope.Proxy.OutboundPort}
	if at.port == 0 {
		at.port = mesh.DefaultOutboundPort
	}
	return at
}

// claimPorts shares out the ports of the sidecar's machine: the application is
// there already, and without the outbound listener nothing could be called.
func (b *builder) claimPorts() {
	if app := b.application(); app.port != 0 {
		_, _ = b.ports.take(app, "the application")
	}
	b.outboundOpen = b.claim(b.outboundPlace(), "the outbound listener", "give the proxy another outboundPort (--outbound-port)")
	if b.scope.Proxy.Intercept != nil {
		b.transparentOpen = b.claim(b.transparentPlace(), "the listener of intercepted connections", "give the proxy another intercept.port (--intercept-port)")
	}
}

func (b *builder) outboundRoutes(name string) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	for _, d := range b.dependencies {
		config.VirtualHosts = append(config.VirtualHosts, b.virtualHost(d))
	}
	config.VirtualHosts = append(config.VirtualHosts, b.undeclared(b.own.Name))
	return config
}

// ownListeners makes the listeners of a dependency itself: on a port of its own, if
// it has one, and where its name leads on a sidecar that intercepts.
func (b *builder) ownListeners(s *mesh.Service) {
	own, virtual := b.ownListener(s), b.virtualListener(s)
	if s.Protocol == mesh.TCP || !own && !virtual {
		return
	}
	routes := b.shared("direct." + string(s.Name))
	host := &routev3.VirtualHost{Name: string(s.Name), Domains: []string{"*"}, Routes: b.routesTo(s)}
	b.add(TypeRoute, routes, &routev3.RouteConfiguration{Name: routes, VirtualHosts: []*routev3.VirtualHost{b.authorized(host, s)}}, originOf(s))
}

// ownListener makes the listener of a dependency that has a port of its own. Where
// connections are intercepted a dependency is reached by its name, and loopback is
// the application's: it has there what was asked for, and not what TCP implies.
func (b *builder) ownListener(s *mesh.Service) bool {
	at := place{b.outboundPlace().address, s.OwnPort()}
	if b.scope.Proxy.Intercept != nil || b.scope.Proxy.Profile == mesh.HostProfile { // a host knows which of several has a port
		at.port = s.ListenerPort
	}
	if port, asked := b.scope.Proxy.DependencyPorts[s.Name]; asked {
		at.port = port
	}
	if at.port == 0 {
		return false
	}
	if !b.claim(at, fmt.Sprintf("the listener of %q", s.Name), fmt.Sprintf("give the dependency another port in the proxy's dependencyPorts (--dependency-port %s=PORT)", s.Name)) {
		return false
	}
	name := "own." + string(s.Name) + "." + b.scope.Name()
	b.add(TypeListener, name, b.listenerTo(name, at, s), originOf(s))
	return true
}

// listenerTo makes a listener of which everything goes to one dependency.
func (b *builder) listenerTo(name string, at place, s *mesh.Service) *listenerv3.Listener {
	stats := "own." + string(s.Name)
	if s.Protocol == mesh.TCP {
		return listenerAt(name, at, corev3.TrafficDirection_OUTBOUND, tcpFilter, reportingTCP(tcpProxy(stats, b.shared(string(s.Name)), s), b.calls()))
	}
	return listenerAt(name, at, corev3.TrafficDirection_OUTBOUND, hcmFilter, b.outboundHTTP(stats, b.shared("direct."+string(s.Name))))
}

// strayPorts tells of ports that the proxy gave to services that it does not call.
func (b *builder) strayPorts() {
	for _, name := range slices.Sorted(maps.Keys(b.scope.Proxy.DependencyPorts)) {
		if !slices.ContainsFunc(b.dependencies, func(d dependency) bool { return d.name == name }) {
			b.problem(b.own.Name, fmt.Sprintf("a proxy has a port for %q in dependencyPorts (--dependency-port), but %q has not declared a dependency on it", name, b.own.Name))
		}
	}
}
