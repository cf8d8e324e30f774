package proxy

import "net"

// HasIPv6 says whether this machine has IPv6, at least on loopback.
func HasIPv6() bool {
	probe, err := net.Listen("tcp", "[::1]:0") //nolint:noctx // it does not block
	if err != nil {
		return false
	}
	probe.Close()
	return true
}
