package agentcli

import (
	"cmp"
	"net"
	"net/netip"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// reserved gives the ports that services cannot have on the proxy's address, because the
// agent or the proxy itself listens there. The proxy's status has what it chose itself.
func (c *Agent) reserved(cfg *agent.Config, status proxy.Status) map[mesh.Port]string {
	taken := map[mesh.Port]string{cmp.Or(mesh.Port(c.OutboundPort), mesh.DefaultOutboundPort): "calls by name (--outbound-port)"}
	add := func(at netip.AddrPort, what string) {
		own, err := netip.ParseAddr(c.ProxyAddress)
		if err != nil || own.IsUnspecified() || at.Addr().IsUnspecified() || own.Unmap() == at.Addr().Unmap() {
			taken[mesh.Port(at.Port())] = what
		}
	}
	add(cfg.Gossip.Bind, "gossip (--address)")
	if c.redirected != nil {
		taken[cmp.Or(c.redirected.Port, mesh.DefaultInterceptPort)] = "redirected connections (--intercept)"
		if c.DNSPort != 0 {
			add(netip.AddrPortFrom(netip.MustParseAddr(mesh.DefaultLoopback), uint16(c.DNSPort)), "answers to DNS queries (--dns-port)")
			add(netip.AddrPortFrom(netip.IPv6Loopback(), uint16(c.DNSPort)), "answers to DNS queries (--dns-port)")
		}
	}
	if status.Admin.IsValid() {
		add(status.Admin, "Envoy's admin interface, which has another one when it starts again")
	}
	for listener, what := range map[net.Listener]string{c.listener: "the agent's API (--api)", cfg.XDS: "the proxy's configuration (--xds)"} {
		if listener == nil {
			continue
		}
		if at, is := listener.Addr().(*net.TCPAddr); is {
			add(at.AddrPort(), what)
		}
	}
	return taken
}

// mostPorts is at how many ports of services the proxy may listen; 0: any number.
func (c *Agent) mostPorts() int {
	if c.Proxy == "none" {
		return 0
	}
	return proxy.MostPorts()
}
