package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
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

// checkPorts refuses ports that something else listens on. Envoy would say so
// too, but late, and not at all when that something is another Envoy of the same
// user: both set SO_REUSEPORT and would get each other's connections by turns.
func checkPorts(b BootstrapConfig) error {
	p := b.Proxy
	outbound := p.OutboundAddress
	if outbound == "" {
		outbound = mesh.DefaultLoopback
	}
	outboundPort := p.OutboundPort
	if outboundPort == 0 {
		outboundPort = mesh.DefaultOutboundPort
	}
	inbound := p.InboundAddress
	if inbound == "" {
		inbound = mesh.DefaultInboundAddress
	}
	var faults mesh.Faults
	check := func(field, address string, port mesh.Port) {
		if port == 0 {
			return
		}
		if fault := portFault(address, port); fault != "" {
			faults.Add(field, "%s", fault)
		}
	}
	if p.AppPort != 0 {
		check("inboundPort", inbound, p.InboundPort)
	}
	check("outboundPort", outbound, outboundPort)
	check("adminPort", adminAddress, b.AdminPort)
	for _, name := range slices.Sorted(maps.Keys(p.DependencyPorts)) {
		check(fmt.Sprintf("dependencyPorts[%s]", name), outbound, p.DependencyPorts[name])
	}
	return mesh.Invalid("listen for the sidecar", faults)
}

func portFault(address string, port mesh.Port) string {
	at := net.JoinHostPort(address, strconv.Itoa(int(port)))
	probe, err := net.Listen("tcp", at) //nolint:noctx // it does not block
	if err == nil {
		probe.Close()
		return ""
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("something else listens on %s already: end it, or choose another port", at)
	case errors.Is(err, syscall.EACCES):
		return fmt.Sprintf("this user may not listen on %s: choose a port above 1023, or grant CAP_NET_BIND_SERVICE", at)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("%s is no address of this machine", address)
	}
	return err.Error()
}
