package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// port is where a command is to listen, and does once it is claimed.
type port struct {
	listener      *net.Listener
	flag, address string
}

// claim takes the ports of a command that starts, all or none, and then the ready file:
// not before the ports are its own, or the file might be that of a process that lives.
// What cannot listen fails before anything is made. release gives all back.
func (f readyFile) claim(ctx context.Context, ports ...port) (release func(), err error) {
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
		if *one.listener, err = listen(ctx, one.flag, one.address); err != nil {
			giveBack()
			return nil, err
		}
		taken = append(taken, *one.listener)
	}
	f.remove() // of an earlier run, which was killed
	return func() { f.remove(); giveBack() }, nil
}

func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	if address == "" { // which would be any port, on all addresses
		return nil, &usageError{message: flag + " is empty: it has to be HOST:PORT, such as 127.0.0.1:0"}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindUnavailable, Message: fmt.Sprintf("listen on %s (%s)", address, flag), Err: err}
	}
	return listener, nil
}

// askedToEnd makes the end of a command no failure that was asked for before it was ready.
// It is deferred.
func askedToEnd(ctx context.Context, err *error) {
	if ctx.Err() != nil && errors.Is(*err, context.Canceled) {
		*err = nil
	}
}
