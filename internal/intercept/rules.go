package intercept

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The chains that hold the rules. They are Heddle's alone, so that they are written
// anew as a whole, whatever an earlier run left in them.
const (
	outputChain  = "HEDDLE_OUTPUT"  // what leaves applications of this machine
	inboundChain = "HEDDLE_INBOUND" // what comes from other machines
)

// jumps lead from the kernel's chains to ours. What a router or a host of containers
// passes on to others is not for this machine, whatever its port.
var jumps = [...]string{"OUTPUT -j " + outputChain, "PREROUTING -p tcp -m addrtype --dst-type LOCAL -j " + inboundChain}

// earlierJump is what an earlier version set: it took what was for others, too.
const earlierJump = "PREROUTING -p tcp -j " + inboundChain

// Family is that of addresses.
type Family int

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

func (f Family) loopback() string {
	if f == IPv6 {
		return "::1/128"
	}
	return "127.0.0.0/8"
}

func (f Family) has(p netip.Prefix) bool { return p.Addr().Is4() == (f == IPv4) }

// Rules is what iptables-restore --noflush is given to redirect what c says.
// present is what iptables-save says of the nat table, "" of one that is empty.
// Applied again, the rules are the same.
func Rules(c Config, f Family, present string) string {
	text := strings.Builder{}
	add := func(chain, format string, arguments ...any) {
		fmt.Fprintf(&text, "-A %s %s\n", chain, fmt.Sprintf(format, arguments...))
	}
	fmt.Fprintf(&text, "*nat\n:%s - [0:0]\n:%s - [0:0]\n", outputChain, inboundChain) // makes them, or empties them
	for _, user := range c.ProxyUsers {
		add(outputChain, "-m owner --uid-owner %d -j RETURN", user)
	}
	if f == IPv4 { // whatever is excluded below: nothing else knows these addresses
		add(outputChain, "-d %s -p tcp -j REDIRECT --to-ports %d", mesh.VirtualNetwork(), c.OutboundPort)
	}
	c.exclusions(f, add)
	if c.redirectsDNS() { // before loopback is left alone: resolvers are often there
		for _, protocol := range []string{"udp", "tcp"} {
			add(outputChain, "-p %s --dport %d -j REDIRECT --to-ports %d", protocol, dnsPort, c.DNSPort)
		}
	}
	add(outputChain, "-o lo -j RETURN")
	add(outputChain, "-d %s -j RETURN", f.loopback())
	// Envoy would take what is for another sidecar for what is for its own application:
	// its listener for that is on all addresses.
	add(outputChain, "-p tcp --dport %d -j RETURN", c.InboundPort)
	add(outputChain, "-p tcp -j REDIRECT --to-ports %d", c.OutboundPort)
	for _, port := range sorted(c.Inbound) {
		if !slices.Contains(c.ExcludeInbound, port) {
			add(inboundChain, "-p tcp --dport %d -j REDIRECT --to-ports %d", port, c.InboundPort)
		}
	}
	for _, jump := range jumps { // last: nothing is redirected until all is there
		if !slices.Contains(lines(present), "-A "+jump) {
			fmt.Fprintf(&text, "-A %s\n", jump)
		}
	}
	if slices.Contains(lines(present), "-A "+earlierJump) {
		fmt.Fprintf(&text, "-D %s\n", earlierJump)
	}
	text.WriteString("COMMIT\n")
	return text.String()
}

// dnsPort is where resolvers are asked.
const dnsPort mesh.Port = 53

// redirectsDNS says whether queries are redirected.
func (c Config) redirectsDNS() bool {
	return c.DNSPort != 0 && !slices.Contains(c.ExcludeOutbound, dnsPort)
}

// exclusions leaves connections and queries alone. Queries to the machine's own
// resolvers are redirected all the same, if only their network is excluded: else
// the names of the mesh would be lost with it.
func (c Config) exclusions(f Family, add func(chain, format string, arguments ...any)) {
	for _, port := range sorted(c.ExcludeOutbound) {
		add(outputChain, "-p tcp --dport %d -j RETURN", port)
	}
	excluded := func(a netip.Addr) bool {
		return slices.ContainsFunc(c.ExcludeOutboundCIDRs, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	for _, resolver := range c.Resolvers {
		if !c.redirectsDNS() || resolver.Is4() != (f == IPv4) || !excluded(resolver) {
			continue
		}
		for _, protocol := range []string{"udp", "tcp"} {
			add(outputChain, "-d %s -p %s --dport %d -j REDIRECT --to-ports %d", resolver, protocol, dnsPort, c.DNSPort)
		}
	}
	for _, one := range c.ExcludeOutboundCIDRs {
		if f.has(one) {
			add(outputChain, "-d %s -j RETURN", one.Masked())
		}
	}
}

// Removal is what takes the rules of an earlier run away; "" when there are none.
func Removal(present string) string {
	text := strings.Builder{}
	has := lines(present)
	for _, jump := range append(jumps[:], earlierJump) {
		for _, line := range has {
			if line == "-A "+jump {
				fmt.Fprintf(&text, "-D %s\n", jump)
			}
		}
	}
	for _, step := range []string{"-F ", "-X "} {
		for _, chain := range []string{outputChain, inboundChain} {
			if slices.ContainsFunc(has, func(line string) bool { return strings.HasPrefix(line, ":"+chain+" ") }) {
				text.WriteString(step + chain + "\n")
			}
		}
	}
	if text.Len() == 0 {
		return ""
	}
	return "*nat\n" + text.String() + "COMMIT\n"
}

// lines of the nat table alone.
func lines(saved string) []string {
	var in []string
	table := ""
	for _, line := range strings.Split(saved, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "*") {
			table = line
		} else if table == "*nat" {
			in = append(in, line)
		}
	}
	return in
}

func sorted(ports []mesh.Port) []mesh.Port {
	return slices.Compact(slices.Sorted(slices.Values(ports)))
}
