package interceptcli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os/user"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/meshdns"
)

// rules are the flags that say what is redirected.
type rules struct {
	InboundPorts         []int    `placeholder:"PORT" help:"The application's ports: calls to them from other machines go to the proxy first. May be repeated."`
	ExcludeInboundPorts  []int    `placeholder:"PORT" help:"Those of them that are left alone."`
	ExcludeOutboundPorts []int    `placeholder:"PORT" help:"Ports to which applications connect by themselves, except by names of the mesh. 53: DNS queries are left alone."`
	ExcludeOutboundCIDRs []string `name:"exclude-outbound-cidrs" placeholder:"CIDR" help:"Addresses to which applications connect by themselves, such as 10.0.0.0/8, and which they ask for names by themselves, except the machine's resolvers."`
	ExcludeInterface     []string `placeholder:"NAME" help:"What goes out and comes in by this interface is left alone, except connections to names of the mesh; br-* is all that begin so. May be repeated."`
	ExcludeUser          []string `placeholder:"USER" help:"A user, by name or number, whose connections are left alone, such as that of a resolver on this machine. May be repeated."`
	ExcludeGroup         []string `placeholder:"GROUP" help:"A group, by name or number, whose connections are left alone: the process's own group. May be repeated."`
	OnlyUser             []string `placeholder:"USER" help:"Redirect what this user connects to, and nobody else; with --only-group, either. May be repeated."`
	OnlyGroup            []string `placeholder:"GROUP" help:"Redirect what this group connects to, and nobody else. May be repeated."`
	ResolvConf           string   `type:"path" default:"/etc/resolv.conf" placeholder:"FILE" help:"Names the machine's resolvers."`

	ProxyUID     []uint32 `name:"proxy-uid" default:"${proxyUID}" placeholder:"UID" help:"The user of the proxy, whose own connections are left alone. May be repeated."`
	OutboundPort int      `default:"${interceptPort}" placeholder:"PORT" help:"Where the proxy takes what applications connect to (heddle proxy --intercept-port)."`
	InboundPort  int      `default:"${interceptInboundPort}" placeholder:"PORT" help:"Where it takes calls to the application (heddle proxy --inbound-port)."`
	DNSPort      int      `default:"${dnsPort}" placeholder:"PORT" help:"Where it answers DNS queries (heddle proxy --dns-port). 0: queries are left alone."`

	Mode        string `enum:"redirect,tproxy" default:"redirect" placeholder:"MODE" help:"How calls to the application reach the proxy: redirect, or tproxy, with which the application sees its callers' addresses (heddle proxy --intercept-mode)."`
	TProxyTable uint32 `name:"tproxy-table" default:"${tproxyTable}" placeholder:"NUMBER" help:"With --mode tproxy: the table of routes by which the application's answers come to the proxy, which nothing else uses."`

	Backend string `enum:"auto,nft,iptables,iptables-nft,iptables-legacy" default:"auto" placeholder:"KIND" help:"What sets the rules: auto (nft where it works, else iptables), nft, iptables (of the kind that it is here), iptables-nft or iptables-legacy."`
	NoIPv6  bool   `name:"no-ipv6" help:"Leave IPv6 alone, on a kernel that cannot redirect it. Callers then reach the application past the proxy over IPv6, if it listens there."`
}

func (c *rules) kernel(log *slog.Logger) intercept.Kernel {
	return intercept.Kernel{Backend: intercept.Backend(c.Backend), NoIPv6: c.NoIPv6, Log: log}
}

func (c *rules) config() (intercept.Config, error) {
	config := intercept.Config{
		ProxyUsers:   c.ProxyUID,
		OutboundPort: mesh.Port(c.OutboundPort), InboundPort: mesh.Port(c.InboundPort), DNSPort: mesh.Port(c.DNSPort),
		Inbound: portsOf(c.InboundPorts), ExcludeInbound: portsOf(c.ExcludeInboundPorts), ExcludeOutbound: portsOf(c.ExcludeOutboundPorts),
		ExcludeInterfaces: c.ExcludeInterface,
	}
	if c.Mode == string(mesh.TProxyMode) {
		config.TProxy = &intercept.TProxy{Table: c.TProxyTable}
	}
	for _, one := range []struct {
		flag    string
		names   []string
		find    func(string) (string, error)
		numbers *[]uint32
	}{
		{"--exclude-user", c.ExcludeUser, userNumber, &config.ExcludeUsers}, {"--exclude-group", c.ExcludeGroup, groupNumber, &config.ExcludeGroups},
		{"--only-user", c.OnlyUser, userNumber, &config.OnlyUsers}, {"--only-group", c.OnlyGroup, groupNumber, &config.OnlyGroups},
	} {
		for _, name := range one.names {
			number, err := numberOf(name, one.find)
			if err != nil {
				return config, &cli.UsageError{Message: fmt.Sprintf("%s %s: %v", one.flag, name, err)}
			}
			*one.numbers = append(*one.numbers, number)
		}
	}
	for _, text := range c.ExcludeOutboundCIDRs {
		one, err := netip.ParsePrefix(text)
		if err != nil {
			address, wrong := netip.ParseAddr(text)
			if wrong != nil || address.Zone() != "" {
				return config, &cli.UsageError{Message: fmt.Sprintf("--exclude-outbound-cidrs %s: not a range of addresses such as 10.0.0.0/8", text)}
			}
			one = netip.PrefixFrom(address, address.BitLen())
		}
		config.ExcludeOutboundCIDRs = append(config.ExcludeOutboundCIDRs, one)
	}
	if len(config.ExcludeOutboundCIDRs) > 0 && config.DNSPort != 0 {
		var err error
		if config.Resolvers, err = meshdns.Resolvers(c.ResolvConf); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return config, &cli.UsageError{Message: "--resolv-conf: " + err.Error()}
		}
	}
	return config, nil
}

// numberOf is a user's or a group's number, which the kernel knows it by.
func numberOf(name string, find func(string) (string, error)) (uint32, error) {
	text := name
	if strings.Trim(name, "0123456789") != "" {
		var err error
		if text, err = find(name); err != nil {
			return 0, err
		}
	}
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == 1<<32-1 { // the kernel's word for nobody at all
		return 0, errors.New("not a name or a number up to 4294967294")
	}
	return uint32(number), nil
}

func userNumber(name string) (string, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return "", errors.New("this machine has no such user")
	}
	return found.Uid, nil
}

func groupNumber(name string) (string, error) {
	found, err := user.LookupGroup(name)
	if err != nil {
		return "", errors.New("this machine has no such group")
	}
	return found.Gid, nil
}

// arguments says the flags anew, for a unit of systemd.
func (c *rules) arguments() []string {
	var line []string
	add := func(flag string, values ...string) {
		for _, value := range values {
			line = append(line, flag+"="+value)
		}
	}
	add("--inbound-ports", numbers(c.InboundPorts)...)
	add("--exclude-inbound-ports", numbers(c.ExcludeInboundPorts)...)
	add("--exclude-outbound-ports", numbers(c.ExcludeOutboundPorts)...)
	add("--exclude-outbound-cidrs", c.ExcludeOutboundCIDRs...)
	add("--exclude-interface", c.ExcludeInterface...)
	add("--exclude-user", c.ExcludeUser...)
	add("--exclude-group", c.ExcludeGroup...)
	add("--only-user", c.OnlyUser...)
	add("--only-group", c.OnlyGroup...)
	add("--resolv-conf", c.ResolvConf)
	add("--proxy-uid", numbers(c.ProxyUID)...)
	add("--outbound-port", strconv.Itoa(c.OutboundPort))
	add("--inbound-port", strconv.Itoa(c.InboundPort))
	add("--dns-port", strconv.Itoa(c.DNSPort))
	add("--mode", c.Mode)
	add("--tproxy-table", numbers([]uint32{c.TProxyTable})...)
	add("--backend", c.Backend)
	if c.NoIPv6 {
		line = append(line, "--no-ipv6")
	}
	return line
}

func numbers[N int | uint32](list []N) []string {
	var texts []string
	for _, one := range list {
		texts = append(texts, fmt.Sprint(one))
	}
	return texts
}

func portsOf(numbers []int) []mesh.Port {
	var list []mesh.Port
	for _, one := range numbers {
		list = append(list, mesh.Port(one))
	}
	return list
}
