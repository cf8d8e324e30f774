package intercept

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// tableName is the table of ours, which holds nothing but our rules.
const tableName = "inet heddle"

// afterOthers is the priority of our chains: just after iptables' and Docker's
// (-100), so that what these translate, such as published ports, stays theirs.
const afterOthers = -99

// Table is what nft -f is given to redirect what c says, for both families or IPv4
// alone. It takes the place of a table of an earlier run in the same step.
func Table(c Config, noIPv6 bool) string {
	text := strings.Builder{}
	add := func(format string, arguments ...any) { fmt.Fprintf(&text, "\t\t"+format+"\n", arguments...) }
	fmt.Fprintf(&text, "add table %s\ndelete table %s\ntable %s {\n", tableName, tableName, tableName)
	if c.selects() { // before who jumps to it
		text.WriteString("\tchain calls {\n")
		c.tableOutbound(add)
		text.WriteString("\t}\n")
	}
	fmt.Fprintf(&text, "\tchain output {\n\t\ttype nat hook output priority %d; policy accept;\n", afterOthers)
	if noIPv6 {
		add("meta nfproto ipv6 return")
	}
	each := func(what string, numbers []uint32, verdict string) {
		for _, number := range numbers {
			add("meta %s %d %s", what, number, verdict)
		}
	}
	each("skuid", c.ProxyUsers, "return")
	each("skuid", c.ExcludeUsers, "return")
	each("skgid", c.ExcludeGroups, "return")
	if c.selects() {
		each("skuid", c.OnlyUsers, "goto calls")
		each("skgid", c.OnlyGroups, "goto calls")
	} else {
		c.tableOutbound(add)
	}
	text.WriteString("\t}\n")
	hook := "nat"
	if c.TProxy != nil {
		hook = "filter"
	}
	fmt.Fprintf(&text, "\tchain inbound {\n\t\ttype %s hook prerouting priority %d; policy accept;\n", hook, afterOthers)
	if noIPv6 {
		add("meta nfproto ipv6 return")
	}
	if c.TProxy != nil { // the sidecar's own calls to the application among it
		add("iifname \"lo\" return")
	}
	for _, one := range c.ExcludeInterfaces {
		add("iifname %q return", one)
	}
	for _, port := range c.inbound() { // what is passed on to others is not for this machine
		if c.TProxy == nil {
			add("fib daddr type local tcp dport %d redirect to :%d", port, c.InboundPort)
			continue
		}
		add("fib daddr type local tcp dport %d ct direction original tproxy to :%d accept", port, c.InboundPort)
		add("fib daddr type local tcp dport %d ct direction original drop", port) // there is no sidecar to take it
	}
	text.WriteString("\t}\n}\n")
	return text.String()
}

// tableOutbound is as outbound, for both families.
func (c Config) tableOutbound(add func(format string, arguments ...any)) {
	add("ip daddr %s meta l4proto tcp redirect to :%d", mesh.VirtualNetwork(), c.OutboundPort)
	for _, port := range sorted(c.ExcludeOutbound) {
		add("tcp dport %d return", port)
	}
	for _, one := range c.ExcludeInterfaces {
		add("oifname %q return", one)
	}
	for _, f := range []Family{IPv4, IPv6} {
		for _, resolver := range c.excludedResolvers(f) {
			for _, protocol := range []string{"udp", "tcp"} {
				add("%s daddr %s %s dport %d redirect to :%d", f.word(), resolver, protocol, dnsPort, c.DNSPort)
			}
		}
	}
	for _, one := range c.ExcludeOutboundCIDRs {
		add("%s daddr %s return", of(one).word(), one.Masked())
	}
	if c.redirectsDNS() {
		for _, protocol := range []string{"udp", "tcp"} {
			add("%s dport %d redirect to :%d", protocol, dnsPort, c.DNSPort)
		}
	}
	add("oifname \"lo\" return")
	for _, f := range []Family{IPv4, IPv6} {
		add("%s daddr %s return", f.word(), f.loopback())
	}
	add("tcp dport %d return", c.InboundPort)
	add("meta l4proto tcp redirect to :%d", c.OutboundPort)
}

// word is what nft calls a family.
func (f Family) word() string {
	if f == IPv6 {
		return "ip6"
	}
	return "ip"
}

func of(p netip.Prefix) Family {
	if p.Addr().Is4() {
		return IPv4
	}
	return IPv6
}
