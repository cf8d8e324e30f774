package interceptcli

import (
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/meshdns"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// DNSFlags are about the DNS server beside an Envoy to which connections are redirected.
type DNSFlags struct {
	DNSPort    int    `at:"service" name:"dns-port" default:"${dnsPort}" placeholder:"PORT" help:"With --intercept: where DNS queries are answered on loopback: names such as orders.mesh, and all others by the machine's resolvers. 0: nowhere."`
	ResolvConf string `at:"service" type:"path" default:"/etc/resolv.conf" placeholder:"FILE" help:"Names the machine's resolvers."`
}

// ListenDNS takes the port; nil: queries are not answered.
func (f *DNSFlags) ListenDNS(log *slog.Logger) (*meshdns.Server, error) {
	switch {
	case f.DNSPort == 0:
		return nil, nil //nolint:nilnil // none is no error
	case f.DNSPort < 0 || f.DNSPort > 65535:
		return nil, &cli.UsageError{Message: fmt.Sprintf("--dns-port %d is not a port", f.DNSPort)}
	}
	if err := intercept.NamesLeadHere(); err != nil {
		log.Warn("names of the mesh lead nowhere", "error", err)
	}
	addresses := []netip.Addr{netip.MustParseAddr(mesh.DefaultLoopback)}
	if proxy.HasIPv6() {
		addresses = append(addresses, netip.IPv6Loopback())
	}
	return meshdns.Listen(meshdns.Config{Addresses: addresses, Port: mesh.Port(f.DNSPort), ResolvConf: f.ResolvConf, Logger: log})
}
