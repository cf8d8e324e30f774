package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// advertised is the address that callers are told: the one asked for, else the
// inbound one when it is a specific one, else this machine's.
func advertised(ctx context.Context, c Config) (string, error) {
	if c.AdvertiseAddress != "" {
		return c.AdvertiseAddress, nil
	}
	if ip, err := netip.ParseAddr(c.Bootstrap.Proxy.InboundAddress); err == nil && !ip.IsUnspecified() {
		return ip.String(), nil
	}
	planes := c.Bootstrap.XDS
	if len(planes) == 0 {
		planes = []string{defaultXDS}
	}
	for _, plane := range planes {
		if ip := addressTowards(ctx, plane); ip.IsValid() && !ip.IsLoopback() {
			return ip.String(), nil
		}
	}
	if ip := firstAddress(); ip.IsValid() {
		return ip.String(), nil
	}
	return "", &mesh.Error{Kind: mesh.KindInvalid, Message: "this machine has no address but loopback to register: name one with --advertise-address (127.0.0.1 when all callers are on this machine)"}
}

// addressTowards gives the address from which this machine reaches a control
// plane: the one by which the mesh's other machines most likely reach it.
// Connecting UDP sends nothing.
func addressTowards(ctx context.Context, target string) netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // for the resolver
	defer cancel()
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "udp", target)
	if err != nil {
		return netip.Addr{}
	}
	defer connection.Close()
	local, err := netip.ParseAddrPort(connection.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return local.Addr().Unmap().WithZone("")
}

// firstAddress gives an address of this machine that others can reach, IPv4
// before IPv6; the zero value if there is none.
func firstAddress() netip.Addr {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}
	}
	var found netip.Addr
	for _, one := range addresses {
		prefix, err := netip.ParsePrefix(one.String())
		if err != nil || !prefix.Addr().IsGlobalUnicast() {
			continue
		}
		if prefix.Addr().Is4() {
			return prefix.Addr()
		}
		if !found.IsValid() {
			found = prefix.Addr()
		}
	}
	return found
}
