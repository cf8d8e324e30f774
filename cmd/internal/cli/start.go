package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Port is where a command is to listen, and does once it is claimed.
type Port struct {
	Listener      *net.Listener
	Flag, Address string
}

// Claim takes the ports of a command that starts, all or none, and then the ready file:
// not before the ports are its own, or the file might be that of a process that lives.
// What cannot listen fails before anything is made. release gives all back.
func (f ReadyFile) Claim(ctx context.Context, ports ...Port) (release func(), err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	var taken []net.Listener
	giveBack := func() {
		for _, one := range taken {
			_ = one.Close()
		}
	}
	for _, one := range ports {
		if *one.Listener, err = Listen(ctx, one.Flag, one.Address); err != nil {
			giveBack()
			return nil, err
		}
		taken = append(taken, *one.Listener)
	}
	f.Remove() // of an earlier run, which was killed
	return func() { f.Remove(); giveBack() }, nil
}

// Listen listens where a flag says.
func Listen(ctx context.Context, flag, address string) (net.Listener, error) {
	if address == "" { // which would be any port, on all addresses
		return nil, &UsageError{Message: flag + " is empty: it has to be HOST:PORT, such as 127.0.0.1:0"}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindUnavailable, Message: fmt.Sprintf("listen on %s (%s)", address, flag), Err: err}
	}
	return listener, nil
}

// AskedToEnd makes the end of a command no failure that was asked for before it was ready.
// It is deferred.
func AskedToEnd(ctx context.Context, err *error) {
	if ctx.Err() != nil && errors.Is(*err, context.Canceled) {
		*err = nil
	}
}

// OnLoopback says whether only this machine can reach a host:port. A name is
// not enough: what it stands for is not ours to say.
func OnLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// AddressText is an address as ready files have it; "" for none.
func AddressText(address netip.AddrPort) string {
	if !address.IsValid() {
		return ""
	}
	return address.String()
}
