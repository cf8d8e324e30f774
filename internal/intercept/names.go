package intercept

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// NamesLeadHere says why connections to names of the mesh would fail before they
// could be redirected. Their addresses are of IPv4, and the kernel refuses those
// for which it has no route. A machine that has no network yet is given the benefit
// of the doubt.
func NamesLeadHere() error {
	target := net.JoinHostPort(mesh.VirtualNetwork().Addr().Next().String(), strconv.Itoa(int(mesh.DefaultInterceptPort)))
	probe, err := net.Dial("udp4", target) //nolint:noctx // it sends nothing
	if err == nil {
		probe.Close()
		return nil
	}
	if !onlyIPv6() {
		return nil
	}
	return mesh.Unavailable(err, "this machine has IPv6 and no route for %s, where names of the mesh lead: connections to them would fail. Give it an IPv4 address and a default route, or do without the names (--dns-port 0 of this command and of heddle proxy; for pods the annotation heddle.io/dns: \"off\")", mesh.VirtualNetwork())
}

// onlyIPv6 says whether other machines are reached by IPv6 from here, which tells one
// without IPv4 from one whose network is not up yet.
func onlyIPv6() bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, one := range addresses {
		prefix, err := netip.ParsePrefix(one.String())
		if err == nil && prefix.Addr().Is6() && prefix.Addr().IsGlobalUnicast() {
			return true
		}
	}
	return false
}
