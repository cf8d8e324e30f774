package meshdns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// portRange is where Linux keeps the ports that it gives to sockets that name none.
const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

const (
	// fewestPorts is how many ports there have to be for an answer to be hard to guess.
	fewestPorts = 1024
	portTries   = 16
)

// sourcePorts are those from which queries are passed on over UDP. The kernel
// remembers where it redirected an application's query to by its source port, for
// half a minute after the socket is gone, and that nothing was done to one of ours
// likewise: were both from the same ports, then a busy machine would hand our
// queries back to us, and the application's past us to a resolver that knows no
// name of the mesh. So ours are above the ports that sockets are given by themselves.
type sourcePorts struct{ first, count int }

// readSourcePorts gives the zero value, any port, where none are left.
func readSourcePorts(file string) sourcePorts {
	text, err := os.ReadFile(file)
	if err != nil { // not Linux: nothing is redirected there
		return sourcePorts{}
	}
	var low, high int
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil || high < 1 || high > 1<<16-1-fewestPorts {
		return sourcePorts{}
	}
	return sourcePorts{first: high + 1, count: 1<<16 - 1 - high}
}

// dial makes a socket for one query.
func (p sourcePorts) dial(ctx context.Context, network string, resolver netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	if network == "udp" && p.count > 0 {
		for range portTries {
			dialer.LocalAddr = &net.UDPAddr{Port: p.first + rand.IntN(p.count)} //nolint:gosec // beside an ID of crypto/rand
			connection, err := dialer.DialContext(ctx, network, resolver.String())
			if !errors.Is(err, syscall.EADDRINUSE) {
				return connection, err
			}
		}
		dialer.LocalAddr = nil
	}
	return dialer.DialContext(ctx, network, resolver.String())
}
