package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/meshdns"
)

// interceptCmd sets the rules by which connections reach the sidecar.
type interceptCmd struct {
	InboundPorts         []int    `placeholder:"PORT" help:"The application's ports: calls to them from other machines go to the sidecar first. May be repeated."`
	ExcludeInboundPorts  []int    `placeholder:"PORT" help:"Those of them that are left alone."`
	ExcludeOutboundPorts []int    `placeholder:"PORT" help:"Ports to which applications connect by themselves, except by names of the mesh. 53: DNS queries are left alone."`
	ExcludeOutboundCIDRs []string `name:"exclude-outbound-cidrs" placeholder:"CIDR" help:"Addresses to which applications connect by themselves, such as 10.0.0.0/8, and which they ask for names by themselves, except the machine's resolvers."`
	ResolvConf           string   `type:"path" default:"/etc/resolv.conf" placeholder:"FILE" help:"Names the machine's resolvers."`

	ProxyUID     []uint32 `name:"proxy-uid" default:"${proxyUID}" placeholder:"UID" help:"The user of the sidecar, whose own connections are left alone. Repeated: others that are, such as that of a resolver on this machine."`
	OutboundPort int      `default:"${interceptPort}" placeholder:"PORT" help:"Where the sidecar takes what applications connect to (heddle proxy --intercept-port)."`
	InboundPort  int      `default:"${interceptInboundPort}" placeholder:"PORT" help:"Where it takes calls to the application (heddle proxy --inbound-port)."`
	DNSPort      int      `default:"${dnsPort}" placeholder:"PORT" help:"Where it answers DNS queries (heddle proxy --dns-port). 0: queries are left alone."`

	Iptables string `enum:"default,nft,legacy" default:"default" placeholder:"KIND" help:"The kind of iptables: default (whatever iptables is here), nft or legacy."`
	NoIPv6   bool   `name:"no-ipv6" help:"Leave IPv6 alone, on a kernel that cannot redirect it. Callers then reach the application past the sidecar over IPv6, if it listens there."`
	Undo     bool   `xor:"way" help:"Take the rules away."`
	DryRun   bool   `xor:"way" help:"Print the rules as iptables-restore and ip6tables-restore take them, and change nothing."`
}

// Help shows examples below the flags.
func (*interceptCmd) Help() string {
	return `Has the kernel redirect what the applications of this machine, container or pod connect to, and their DNS queries, to heddle proxy --intercept, and calls to their ports to it first. Needs root (in a container NET_ADMIN and NET_RAW) and iptables. The rules are in chains of their own; run again, they are replaced. They are gone after a restart of the machine.

The sidecar runs as a user of its own (--proxy-uid), whose connections are left alone, as is what goes to this machine itself.

Examples:
  heddle intercept --inbound-ports 8080
  heddle intercept --inbound-ports 8080 --exclude-outbound-ports 5432 --exclude-outbound-cidrs 169.254.169.254/32
  heddle intercept --inbound-ports 8080 --dry-run
  heddle intercept --undo
  setpriv --reuid 1337 --regid 1337 --clear-groups heddle proxy --service web --app-port 8080 --intercept`
}

// Run sets the rules, takes them away or prints them.
func (c *interceptCmd) Run(ctx context.Context, con *console, log *slog.Logger) error {
	kernel := intercept.Kernel{Kind: intercept.Kind(c.Iptables), NoIPv6: c.NoIPv6, Log: log}
	if c.Iptables == "default" {
		kernel.Kind = intercept.DefaultKind
	}
	if c.Undo {
		if err := kernel.Undo(ctx); err != nil {
			return err
		}
		fmt.Fprintln(con.out, "connections are no longer redirected")
		return nil
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	if c.DryRun {
		if err := mesh.Invalid("intercept connections", config.Validate()); err != nil {
			return wrongFlags(err)
		}
		fmt.Fprintf(con.out, "# iptables-restore --noflush\n%s", intercept.Rules(config, intercept.IPv4, ""))
		if !c.NoIPv6 {
			fmt.Fprintf(con.out, "# ip6tables-restore --noflush\n%s", intercept.Rules(config, intercept.IPv6, ""))
		}
		return nil
	}
	if config.DNSPort != 0 {
		if err := intercept.NamesLeadHere(); err != nil {
			return err
		}
	}
	if err := kernel.Apply(ctx, config); err != nil {
		return wrongFlags(err)
	}
	fmt.Fprintf(con.out, "connections are redirected: out to port %d, in to port %d%s\n", config.OutboundPort, config.InboundPort, dnsPart(config.DNSPort))
	return nil
}

func dnsPart(port mesh.Port) string {
	if port == 0 {
		return ""
	}
	return fmt.Sprintf(", DNS to port %d", port)
}

func (c *interceptCmd) config() (intercept.Config, error) {
	config := intercept.Config{
		ProxyUsers:   c.ProxyUID,
		OutboundPort: mesh.Port(c.OutboundPort), InboundPort: mesh.Port(c.InboundPort), DNSPort: mesh.Port(c.DNSPort),
		Inbound: portsOf(c.InboundPorts), ExcludeInbound: portsOf(c.ExcludeInboundPorts), ExcludeOutbound: portsOf(c.ExcludeOutboundPorts),
	}
	for _, text := range c.ExcludeOutboundCIDRs {
		one, err := netip.ParsePrefix(text)
		if err != nil {
			address, wrong := netip.ParseAddr(text)
			if wrong != nil || address.Zone() != "" {
				return config, &usageError{message: fmt.Sprintf("--exclude-outbound-cidrs %s: not a range of addresses such as 10.0.0.0/8", text)}
			}
			one = netip.PrefixFrom(address, address.BitLen())
		}
		config.ExcludeOutboundCIDRs = append(config.ExcludeOutboundCIDRs, one)
	}
	if len(config.ExcludeOutboundCIDRs) > 0 && config.DNSPort != 0 {
		var err error
		if config.Resolvers, err = meshdns.Resolvers(c.ResolvConf); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return config, &usageError{message: "--resolv-conf: " + err.Error()}
		}
	}
	return config, nil
}

func portsOf(numbers []int) []mesh.Port {
	var list []mesh.Port
	for _, one := range numbers {
		list = append(list, mesh.Port(one))
	}
	return list
}
