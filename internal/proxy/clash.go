package proxy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// listening is a place that the configuration gives to something.
type listening struct {
	field, flag string
	address     string
	port        mesh.Port
}

// clashes adds a fault for each place that something else was given before.
func (c BootstrapConfig) clashes(f *mesh.Faults) {
	if c.Proxy.Profile == mesh.Proxyless { // nothing listens
		return
	}
	var taken []listening
	for _, one := range c.listeners() {
		i := slices.IndexFunc(taken, one.overlaps)
		if one.port > 0 && i >= 0 {
			f.Add(one.field, "%s %d and %s %d are the same port: give each its own", one.flag, one.port, taken[i].flag, taken[i].port)
		}
		taken = append(taken, one)
	}
}

// listeners are the places that are known before the control plane is asked.
func (c BootstrapConfig) listeners() []listening {
	p := c.Proxy
	if g := p.Gateway; g != nil {
		at := cmp.Or(g.ListenAddress, mesh.DefaultInboundAddress)
		return []listening{
			{"gateway.httpPort", "--http-port", at, g.HTTPPort}, {"gateway.httpsPort", "--https-port", at, g.HTTPSPort},
			{"adminPort", "--admin-port", adminAddress, c.AdminPort},
		}
	}
	outbound := cmp.Or(p.OutboundAddress, mesh.DefaultLoopback)
	list := []listening{
		{"appPort", "--app-port", cmp.Or(p.AppAddress, mesh.DefaultLoopback), p.AppPort},
		{"outboundPort", "--outbound-port", outbound, cmp.Or(p.OutboundPort, mesh.DefaultOutboundPort)},
	}
	if p.AppPort != 0 {
		list = append(list, listening{"inboundPort", "--inbound-port", cmp.Or(p.InboundAddress, mesh.DefaultInboundAddress), p.InboundPort})
	}
	if p.Intercept != nil {
		list = append(list, listening{"intercept.port", "--intercept-port", mesh.DefaultLoopback, interceptPort(p)})
	}
	list = append(list, listening{"adminPort", "--admin-port", adminAddress, c.AdminPort})
	for _, name := range slices.Sorted(maps.Keys(p.DependencyPorts)) {
		list = append(list, listening{"dependencyPorts." + string(name), "--dependency-port " + string(name), outbound, p.DependencyPorts[name]})
	}
	return list
}

// interceptPort is where intercepted connections come in.
func interceptPort(p mesh.Proxy) mesh.Port {
	return cmp.Or(p.Intercept.Port, mesh.DefaultInterceptPort)
}

// overlaps says whether the kernel would refuse to have both.
func (l listening) overlaps(other listening) bool {
	if l.port != other.port {
		return false
	}
	a, errA := netip.ParseAddr(l.address)
	b, errB := netip.ParseAddr(other.address)
	if errA != nil || errB != nil {
		return false // refused for that
	}
	a, b = a.Unmap(), b.Unmap()
	// "::" takes IPv4 addresses as well unless it is told otherwise.
	takes := func(one, other netip.Addr) bool { return one.IsUnspecified() && (one.Is6() || other.Is4()) }
	return a == b || takes(a, b) || takes(b, a)
}
