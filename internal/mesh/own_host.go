package mesh

import (
	"fmt"
	"net/netip"
	"strings"
)

// ownHostFault says why an address leads to the very host of whoever connects to it, or
// "": there are a gateway's own ports, its administration among them, and what clouds
// tell their machines and nobody else.
func ownHostFault(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	switch ip = ip.Unmap(); {
	case ip.IsLoopback():
		return fmt.Sprintf("%s is a loopback address: a gateway that serves it would call itself. Give the address where others reach it", quote(address))
	case ip.IsLinkLocalUnicast():
		return fmt.Sprintf("%s is a link-local address, where clouds tell machines their secrets: give the address where others reach it", quote(address))
	}
	return ""
}

// OwnHostFaults are the endpoints that lead to the host of whichever proxy calls them.
// An admin may declare such a service; a keeper may not, which writes what users of its
// cluster say. What a name resolves to is known to no one here.
func (s *Service) OwnHostFaults() Faults {
	var f Faults
	for i, one := range s.Endpoints.Static {
		f.check(at("endpoints.static", i)+".address", ownHostFault(one.Address))
	}
	if s.Endpoints.DNS != nil {
		host := strings.TrimSuffix(strings.ToLower(s.Endpoints.DNS.Host), ".")
		if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
			f.Add("endpoints.dns.host", "%s is the host of whoever asks: a gateway that serves it would call itself", quote(s.Endpoints.DNS.Host))
		}
	}
	return f
}

// OwnHostFaults is the same of an instance.
func (i *Instance) OwnHostFaults() Faults {
	var f Faults
	f.check("address", ownHostFault(i.Address))
	return f
}
