package mesh

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
)

// Intercept is what a sidecar says of itself to whose original-destination
// listener the application's connections are redirected (heddle intercept).
type Intercept struct {
	Port    Port          `json:"port,omitempty" doc:"Where the redirected connections come in; default 15002."`
	Outside OutsidePolicy `json:"outside,omitempty" doc:"What becomes of connections to addresses outside the mesh. pass (default): they are passed on. deny: they are refused."`
	Mode    InterceptMode `json:"mode,omitempty" doc:"How calls to the application come to it. redirect (default): the application sees them come from the sidecar. tproxy: from the caller's address."`
	IPv6    bool          `json:"ipv6,omitempty" doc:"Its machine has IPv6 too, and redirects those connections as well."`
}

// OutsidePolicy says what becomes of intercepted connections to the outside.
type OutsidePolicy string

// The policies.
const (
	PassOutside OutsidePolicy = "pass"
	DenyOutside OutsidePolicy = "deny"
)

// InterceptMode says how calls to the application come to its sidecar.
type InterceptMode string

// The modes, by the names of the kernel's targets.
const (
	RedirectMode InterceptMode = "redirect"
	TProxyMode   InterceptMode = "tproxy"
)

// The ports of interception: where the application's connections are redirected
// to, where those to the application are, and where its DNS queries are.
const (
	DefaultInterceptPort        Port = 15002
	DefaultInterceptInboundPort Port = 15006
	DefaultDNSPort              Port = 15053
)

// Domain is the DNS domain of the mesh: "orders.mesh" is the service "orders".
const Domain = "mesh"

// VirtualNetwork holds the addresses of services' names in the mesh's DNS. No
// packet to it leaves a machine whose connections are intercepted: it is of the
// range that is reserved for future use (RFC 1112, section 4), so that nobody has it.
func VirtualNetwork() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{241}), 8)
}

// VirtualAddress is the address of a service's name in the mesh's DNS, made of the
// name alone, so that all agree on it and no table is needed. Two names may have
// one address, which is rare, and shows where one service calls both.
func VirtualAddress(name ServiceName) netip.Addr {
	sum := sha256.Sum256([]byte(name))
	// Not 0 and not 255 at the end, which some take for a network or a broadcast.
	return netip.AddrFrom4([4]byte{241, sum[0], sum[1], 1 + sum[2]%254})
}

func (i *Intercept) validate(f *Faults) {
	if i.Port != 0 {
		f.check("intercept.port", portFault(i.Port))
	}
	switch i.Outside {
	case "", PassOutside, DenyOutside:
	default:
		f.check("intercept.outside", fmt.Sprintf("%q is not one of %q, %q", cut(string(i.Outside)), PassOutside, DenyOutside))
	}
	switch i.Mode {
	case "", RedirectMode, TProxyMode:
	default:
		f.check("intercept.mode", fmt.Sprintf("%q is not one of %q, %q", cut(string(i.Mode)), RedirectMode, TProxyMode))
	}
}

// Transparent says whether the application is called from its callers' addresses.
func (i *Intercept) Transparent() bool { return i != nil && i.Mode == TProxyMode }

// validateTransparent: the application's answers to its callers are known by their address
// of loopback, from which nothing goes out, and brought back to the sidecar.
func (p *Proxy) validateTransparent(f *Faults) {
	if at, err := netip.ParseAddr(p.AppAddress); err == nil && !at.IsLoopback() {
		f.Add("appAddress", "%s is not on loopback, where intercept.mode %q calls the application: leave it out", at, TProxyMode)
	}
	if at, err := netip.ParseAddr(p.InboundAddress); err == nil && !at.IsUnspecified() {
		f.Add("inboundAddress", "is not for intercept.mode %q, which takes calls at all addresses: leave it out", TProxyMode)
	}
}
