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
	callsChain   = "HEDDLE_CALLS"   // of it what leaves those that are meant, if not all are
	inboundChain = "HEDDLE_INBOUND" // what comes from other machines

	tproxyChain = "HEDDLE_TPROXY" // that, by TPROXY
)

// table is one of iptables', with what may be ours in it.
type table struct {
	name   string
	chains []string
	jumps  []string // from the kernel's chains to ours
}

// What a router or a host of containers passes on to others is not for this machine,
// whatever its port. The last jump is what an earlier version set: it took that, too.
var (
	outputJump  = "OUTPUT -j " + outputChain
	inboundJump = "PREROUTING -p tcp -m addrtype --dst-type LOCAL -j " + inboundChain
	tproxyJump  = "PREROUTING -p tcp -m addrtype --dst-type LOCAL -j " + tproxyChain

	natTable    = table{"nat", []string{outputChain, callsChain, inboundChain}, []string{outputJump, inboundJump, "PREROUTING -p tcp -j " + inboundChain}}
	mangleTable = table{"mangle", []string{tproxyChain}, []string{tproxyJump}}
)

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
// present is what iptables-save says of the tables nat and mangle, "" of ones that are
// empty. Applied again, the rules are the same.
func Rules(c Config, f Family, present string) string {
	if c.TProxy == nil {
		return natTable.replaced(present, c.natRules(f), []string{outputJump, inboundJump}) + mangleTable.replaced(present, nil, nil)
	}
	// The kernel takes one table after the other: what takes calls next is there before
	// what takes them now goes, or those in between reach the application.
	return mangleTable.replaced(present, c.mangleRules(), []string{tproxyJump}) + natTable.replaced(present, c.natRules(f), []string{outputJump})
}

// chainRules are the rules of one chain.
type chainRules struct {
	chain string
	rules []string
}

func (r *chainRules) add(format string, arguments ...any) {
	r.rules = append(r.rules, fmt.Sprintf(format, arguments...))
}

// natRules redirect what leaves applications, and what comes for them.
func (c Config) natRules(f Family) []*chainRules {
	output, calls, inbound := &chainRules{chain: outputChain}, &chainRules{chain: callsChain}, &chainRules{chain: inboundChain}
	all := []*chainRules{output}
	for _, user := range append(slices.Clone(c.ProxyUsers), c.ExcludeUsers...) {
		output.add("-m owner --uid-owner %d -j RETURN", user)
	}
	for _, group := range c.ExcludeGroups {
		output.add("-m owner --gid-owner %d -j RETURN", group)
	}
	if c.selects() {
		for _, user := range c.OnlyUsers {
			output.add("-m owner --uid-owner %d -j %s", user, callsChain)
		}
		for _, group := range c.OnlyGroups {
			output.add("-m owner --gid-owner %d -j %s", group, callsChain)
		}
		all = append(all, calls)
		c.outbound(f, calls.add)
	} else {
		c.outbound(f, output.add)
	}
	if c.TProxy != nil {
		return all
	}
	for _, one := range c.ExcludeInterfaces {
		inbound.add("-i %s -j RETURN", wildcard(one))
	}
	for _, port := range c.inbound() {
		inbound.add("-p tcp --dport %d -j REDIRECT --to-ports %d", port, c.InboundPort)
	}
	return append(all, inbound)
}

// mangleRules hand what comes for applications to the sidecar as it is, but no answers to
// connections from here, whose port may be the same. Without a sidecar TPROXY drops it.
func (c Config) mangleRules() []*chainRules {
	tproxy := &chainRules{chain: tproxyChain}
	tproxy.add("-i lo -j RETURN")
	for _, one := range c.ExcludeInterfaces {
		tproxy.add("-i %s -j RETURN", wildcard(one))
	}
	for _, port := range c.inbound() {
		tproxy.add("-p tcp --dport %d -m conntrack --ctdir ORIGINAL -j TPROXY --on-port %d", port, c.InboundPort)
	}
	return []*chainRules{tproxy}
}

// replaced is what makes our part of a table these rules, and jumps to them; "" where
// nothing is and nothing is to be.
func (t table) replaced(present string, rules []*chainRules, jumps []string) string {
	text := strings.Builder{}
	has := lines(present, t.name)
	for _, one := range rules { // makes the chains, or empties them
		fmt.Fprintf(&text, ":%s - [0:0]\n", one.chain)
	}
	for _, one := range rules {
		for _, rule := range one.rules {
			fmt.Fprintf(&text, "-A %s %s\n", one.chain, rule)
		}
	}
	for _, jump := range jumps { // last: nothing is redirected until all is there
		if !slices.Contains(has, "-A "+jump) {
			fmt.Fprintf(&text, "-A %s\n", jump)
		}
	}
	for _, line := range has {
		jump, is := strings.CutPrefix(line, "-A ")
		if is && slices.Contains(t.jumps, jump) && !slices.Contains(jumps, jump) {
			fmt.Fprintf(&text, "-D %s\n", jump)
		}
	}
	for _, step := range []string{"-F ", "-X "} {
		for _, chain := range t.chains {
			wanted := slices.ContainsFunc(rules, func(one *chainRules) bool { return one.chain == chain })
			if !wanted && slices.ContainsFunc(has, declares(chain)) {
				text.WriteString(step + chain + "\n")
			}
		}
	}
	if text.Len() == 0 {
		return ""
	}
	return "*" + t.name + "\n" + text.String() + "COMMIT\n"
}

// outbound redirects what applications connect to.
func (c Config) outbound(f Family, add func(format string, arguments ...any)) {
	if f == IPv4 { // whatever is excluded below: nothing else knows these addresses
		add("-d %s -p tcp -j REDIRECT --to-ports %d", mesh.VirtualNetwork(), c.OutboundPort)
	}
	c.exclusions(f, add)
	if c.redirectsDNS() { // before loopback is left alone: resolvers are often there
		for _, protocol := range []string{"udp", "tcp"} {
			add("-p %s --dport %d -j REDIRECT --to-ports %d", protocol, dnsPort, c.DNSPort)
		}
	}
	add("-o lo -j RETURN")
	add("-d %s -j RETURN", f.loopback())
	// Envoy would take what is for another sidecar for what is for its own application:
	// its listener for that is on all addresses.
	add("-p tcp --dport %d -j RETURN", c.InboundPort)
	add("-p tcp -j REDIRECT --to-ports %d", c.OutboundPort)
}

// wildcard is a name of interfaces as iptables has it.
func wildcard(name string) string {
	if prefix, all := strings.CutSuffix(name, "*"); all {
		return prefix + "+"
	}
	return name
}

// declares finds the line of a chain among those of a table.
func declares(chain string) func(string) bool {
	return func(line string) bool { return strings.HasPrefix(line, ":"+chain+" ") }
}

// selects says whether some users' connections are redirected alone.
func (c Config) selects() bool { return len(c.OnlyUsers)+len(c.OnlyGroups) > 0 }

// inbound are the ports that are redirected.
func (c Config) inbound() []mesh.Port {
	return slices.DeleteFunc(sorted(c.Inbound), func(p mesh.Port) bool { return slices.Contains(c.ExcludeInbound, p) })
}

// TakesCalls says whether calls to any of the application's ports are redirected.
func (c Config) TakesCalls() bool { return len(c.inbound()) > 0 }

// dnsPort is where resolvers are asked.
const dnsPort mesh.Port = 53

// redirectsDNS says whether queries are redirected.
func (c Config) redirectsDNS() bool {
	return c.DNSPort != 0 && !slices.Contains(c.ExcludeOutbound, dnsPort)
}

// exclusions leaves connections and queries alone. Queries to the machine's own
// resolvers are redirected all the same, if only their network is excluded: else
// the names of the mesh would be lost with it.
func (c Config) exclusions(f Family, add func(format string, arguments ...any)) {
	for _, port := range sorted(c.ExcludeOutbound) {
		add("-p tcp --dport %d -j RETURN", port)
	}
	for _, one := range c.ExcludeInterfaces {
		add("-o %s -j RETURN", wildcard(one))
	}
	for _, resolver := range c.excludedResolvers(f) {
		for _, protocol := range []string{"udp", "tcp"} {
			add("-d %s -p %s --dport %d -j REDIRECT --to-ports %d", resolver, protocol, dnsPort, c.DNSPort)
		}
	}
	for _, one := range c.ExcludeOutboundCIDRs {
		if f.has(one) {
			add("-d %s -j RETURN", one.Masked())
		}
	}
}

// excludedResolvers are the machine's resolvers in excluded networks.
func (c Config) excludedResolvers(f Family) []netip.Addr {
	if !c.redirectsDNS() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Resolvers), func(a netip.Addr) bool {
		return a.Is4() != (f == IPv4) || !slices.ContainsFunc(c.ExcludeOutboundCIDRs, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// Removal is what takes the rules of an earlier run away; "" when there are none.
func Removal(present string) string {
	return natTable.replaced(present, nil, nil) + mangleTable.replaced(present, nil, nil)
}

// lines of one table alone.
func lines(saved, name string) []string {
	var in []string
	table := ""
	for _, line := range strings.Split(saved, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "*") {
			table = line
		} else if table == "*"+name {
			in = append(in, line)
		}
	}
	return in
}

func sorted(ports []mesh.Port) []mesh.Port {
	return slices.Compact(slices.Sorted(slices.Values(ports)))
}
