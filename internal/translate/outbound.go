package translate

import (
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// outbound makes the one listener on which the application calls its HTTP
// dependencies by host name, and the routes behind it, which depend on the
// service alone and are shared by all its proxies.
func (b *builder) outbound() {
	if !b.outboundOpen {
		return
	}
	listener, routes := "outbound."+b.scope.Name(), b.shared("outbound."+string(b.own.Name))
	m := b.outboundHTTP("outbound", routes)
	m.StripTrailingHostDot = true // "orders.mesh." is "orders.mesh" in full
	b.add(TypeListener, listener, listenerAt(listener, b.outboundPlace(), corev3.TrafficDirection_OUTBOUND, hcmFilter, m), originOf(b.own))
	from := []*mesh.Service{b.own}
	for _, d := range b.dependencies {
		if d.service != nil {
			from = append(from, d.service)
		}
	}
	b.add(TypeRoute, routes, b.outboundRoutes(routes), newest(from...))
}

// outboundHTTP is where the application's requests come in.
func (b *builder) outboundHTTP(stats, routes string) *hcmv3.HttpConnectionManager {
	m := withRoutes(httpManager(stats), routes)
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
}

func (b *builder) outboundRoutes(name string) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	for _, d := range b.dependencies {
		config.VirtualHosts = append(config.VirtualHosts, b.virtualHost(d))
	}
	config.VirtualHosts = append(config.VirtualHosts, b.undeclared(b.own.Name))
	return config
}

// ownListener makes the listener of a dependency that has a port of its own.
func (b *builder) ownListener(s *mesh.Service) {
	at := place{b.outboundPlace().address, s.OwnPort()}
	if port, asked := b.scope.Proxy.DependencyPorts[s.Name]; asked {
		at.port = port
	}
	if at.port == 0 {
		return
	}
	if !b.claim(at, fmt.Sprintf("the listener of %q", s.Name), fmt.Sprintf("give the dependency another port in the proxy's dependencyPorts (--dependency-port %s=PORT)", s.Name)) {
		return
	}
	name, origin, stats := "own."+string(s.Name)+"."+b.scope.Name(), originOf(s), "own."+string(s.Name)
	if s.Protocol == mesh.TCP {
		b.add(TypeListener, name, listenerAt(name, at, corev3.TrafficDirection_OUTBOUND, tcpFilter, tcpProxy(stats, b.shared(string(s.Name)), s)), origin)
		return
	}
	routes := b.shared("direct." + string(s.Name))
	m := b.outboundHTTP(stats, routes)
	b.add(TypeListener, name, listenerAt(name, at, corev3.TrafficDirection_OUTBOUND, hcmFilter, m), origin)
	host := &routev3.VirtualHost{Name: string(s.Name), Domains: []string{"*"}, Routes: b.routesTo(s)}
	b.add(TypeRoute, routes, &routev3.RouteConfiguration{Name: routes, VirtualHosts: []*routev3.VirtualHost{b.authorized(host, s)}}, origin)
}

// strayPorts tells of ports that the proxy gave to services that it does not call.
func (b *builder) strayPorts() {
	for _, name := range slices.Sorted(maps.Keys(b.scope.Proxy.DependencyPorts)) {
		if !slices.ContainsFunc(b.dependencies, func(d dependency) bool { return d.name == name }) {
			b.problem(b.own.Name, fmt.Sprintf("a proxy has a port for %q in dependencyPorts (--dependency-port), but %q has not declared a dependency on it", name, b.own.Name))
		}
	}
}
