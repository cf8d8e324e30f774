package agentcli

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// Where the agent listens at another address than its proxy, services may have the port.
func TestPortsAreReservedWhereTheProxyListens(t *testing.T) {
	xds, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = xds.Close() }()
	at := mesh.Port(xds.Addr().(*net.TCPAddr).Port)
	cfg := agent.Config{XDS: xds, Gossip: gossip.Config{Bind: netip.MustParseAddrPort("127.0.7.1:7946")}}
	const admin, dns = 1234, 1053
	status := proxy.Status{Admin: netip.MustParseAddrPort("127.0.0.1:1234")}
	for address, want := range map[string][]mesh.Port{
		"127.0.0.1": {at, admin, dns},
		"::1":       {dns},
		"127.0.7.1": {7946},
		"0.0.0.0":   {7946, at, admin, dns},
		"127.0.9.1": {},
	} {
		c := Agent{}
		c.ProxyAddress, c.DNSPort, c.redirected = address, dns, &mesh.Intercept{}
		want = append(want, mesh.DefaultOutboundPort, mesh.DefaultInterceptPort)
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(c.reserved(&cfg, status))); !slices.Equal(got, want) {
			t.Errorf("on %s %v are reserved, to be %v", address, got, want)
		}
	}
}

// What is to be exposed where the agent or its proxy listens is refused before it starts.
func TestReservedPortsAreNotExposed(t *testing.T) {
	c := listenerFlags{}
	err := c.exposable(map[mesh.ServiceName]mesh.Port{"web": 7946, "api": 0}, map[mesh.Port]string{7946: "gossip (--address)"})
	if err == nil || !strings.Contains(err.Error(), "--expose web=7946: port 7946 of this host is that of gossip (--address)") {
		t.Errorf("got %v", err)
	}
	if err := c.exposable(map[mesh.ServiceName]mesh.Port{"web": 80, "api": 0}, map[mesh.Port]string{7946: "gossip"}); err != nil {
		t.Error(err)
	}
}
