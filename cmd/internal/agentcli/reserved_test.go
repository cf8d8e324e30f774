package agentcli

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/mesh"
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
	for address, want := range map[string][]mesh.Port{
		"127.0.0.1": {at, mesh.DefaultOutboundPort},
		"127.0.7.1": {7946, mesh.DefaultOutboundPort},
		"0.0.0.0":   {7946, at, mesh.DefaultOutboundPort},
		"127.0.9.1": {mesh.DefaultOutboundPort},
	} {
		c := Agent{}
		c.ProxyAddress = address
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(c.reserved(&cfg))); !slices.Equal(got, want) {
			t.Errorf("on %s %v are reserved, to be %v", address, got, want)
		}
	}
}
