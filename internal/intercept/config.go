package intercept

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config says what is redirected to the sidecar, and what is left alone.
type Config struct {
	ProxyUsers    []uint32 // numbers of the users that run sidecars, whose own connections are left alone
	ExcludeUsers  []uint32 // others whose are
	ExcludeGroups []uint32 // groups whose are: of the process's own group, not of those that its user is in besides
	OnlyUsers     []uint32 // with OnlyGroups: whose connections are redirected and nobody else's; none: everybody's
	OnlyGroups    []uint32

	OutboundPort mesh.Port // of the sidecar's listener of intercepted connections
	InboundPort  mesh.Port // of its listener for calls to the service
	DNSPort      mesh.Port // of its DNS server; 0: queries are left alone

	Inbound              []mesh.Port    // the application's ports, to which calls are redirected to InboundPort
	ExcludeInbound       []mesh.Port    // ports that are left alone although Inbound has them
	ExcludeOutbound      []mesh.Port    // ports to which the application connects by itself
	ExcludeOutboundCIDRs []netip.Prefix // addresses to which the application connects by itself, also to ask for names
	ExcludeInterfaces    []string       // what goes out and comes in by them is left alone; "br-*" is all that begin so
	TProxy               *TProxy        // calls keep the callers' addresses; nil: Inbound is by REDIRECT
	Resolvers            []netip.Addr   // the machine's own: queries to them are redirected although ExcludeOutboundCIDRs has them
}

// The user that runs the sidecar, unless told otherwise.
const DefaultProxyUser = 1337

// TProxy says how calls reach the sidecar, and the application, with the callers' addresses.
type TProxy struct {
	Table uint32 // of routes, which is ours alone: it brings the application's answers to the sidecar
}

// DefaultTProxyTable is the routing table, unless told otherwise.
const DefaultTProxyTable = 133

// Validate reports every fault.
func (c Config) Validate() mesh.Faults {
	var f mesh.Faults
	if len(c.ProxyUsers) == 0 {
		f.Add("proxyUid", "is missing: without the sidecar's user its own connections would come back to it")
	}
	for _, user := range c.ProxyUsers {
		if user == 0 {
			f.Add("proxyUid", "0 is root, as whom applications may run too: run the sidecar as a user of its own")
		}
		if user == 1<<32-1 { // the kernel's word for nobody at all
			f.Add("proxyUid", "%d is no user's number: name the user that runs the sidecar", user)
		}
	}
	for _, user := range c.OnlyUsers {
		if slices.Contains(c.ProxyUsers, user) || slices.Contains(c.ExcludeUsers, user) {
			f.Add("onlyUser", "%d is the sidecar's user or excluded, so that nothing of it would be redirected: name it in one of these alone", user)
		}
	}
	for _, group := range c.OnlyGroups {
		if slices.Contains(c.ExcludeGroups, group) {
			f.Add("onlyGroup", "%d is excluded too, so that nothing of it would be redirected: name it in one of these alone", group)
		}
	}
	port := func(field string, p mesh.Port) {
		if p < 1 || p > 65535 {
			f.Add(field, "%d is not a port: use 1 to 65535", int(p))
		}
	}
	port("outboundPort", c.OutboundPort)
	port("inboundPort", c.InboundPort)
	if c.DNSPort != 0 {
		port("dnsPort", c.DNSPort)
	}
	own := []mesh.Port{c.OutboundPort, c.InboundPort, c.DNSPort}
	for i, p := range own {
		if p != 0 && slices.Contains(own[:i], p) {
			f.Add("ports", "%d is given to two of the sidecar's listeners: give each its own", int(p))
		}
	}
	for i, p := range c.Inbound {
		port(fmt.Sprintf("inboundPorts[%d]", i), p)
		if slices.Contains(own, p) && p != 0 {
			f.Add(fmt.Sprintf("inboundPorts[%d]", i), "%d is the sidecar's own: name the application's ports", int(p))
		}
	}
	for i, p := range c.ExcludeInbound {
		port(fmt.Sprintf("excludeInboundPorts[%d]", i), p)
	}
	for i, p := range c.ExcludeOutbound {
		port(fmt.Sprintf("excludeOutboundPorts[%d]", i), p)
	}
	if c.TProxy != nil {
		if c.TProxy.Table == 0 || c.TProxy.Table >= 253 && c.TProxy.Table <= 255 {
			f.Add("tproxyTable", "%d is a table of the kernel's own: use one that nothing else has", c.TProxy.Table)
		}
	}
	for i, one := range c.ExcludeOutboundCIDRs {
		if one.Addr().Is4() && one.Overlaps(mesh.VirtualNetwork()) && one.Bits() > 0 {
			f.Add(fmt.Sprintf("excludeOutboundCidrs[%d]", i), "%s has addresses of the mesh's names (%s), which lead nowhere but to the sidecar", one, mesh.VirtualNetwork())
		}
	}
	for i, one := range c.ExcludeInterfaces {
		if !interfaceName.MatchString(one) {
			f.Add(fmt.Sprintf("excludeInterface[%d]", i), "%.40q is not the name of an interface, such as docker0, or br-* for all that begin so", one)
		}
	}
	return f
}

// interfaceName is a name that the kernel takes, of letters that need no quoting in rules.
var interfaceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,13}[A-Za-z0-9_.:@*-]?$`)
