package main

import (
	"context"
	"fmt"
	"net"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// serverPorts are what a server listens on.
type serverPorts struct {
	restListener, xdsListener   net.Listener
	authzListener, keysListener net.Listener // nil: none
}

// takePorts listens on all of them or on none.
func takePorts(ctx context.Context, c *serverCmd) (p serverPorts, err error) {
	if p.restListener, err = listen(ctx, "--listen", c.Listen); err != nil {
		return serverPorts{}, err
	}
	if p.xdsListener, err = listen(ctx, "--xds-listen", c.XDSListen); err != nil {
		p.close()
		return serverPorts{}, err
	}
	if c.AuthzListen != "" {
		if p.authzListener, err = listen(ctx, "--authz-listen", c.AuthzListen); err != nil {
			p.close()
			return serverPorts{}, err
		}
	}
	if c.AuthzHTTPListen != "" {
		if p.keysListener, err = listen(ctx, "--authz-http-listen", c.AuthzHTTPListen); err != nil {
			p.close()
			return serverPorts{}, err
		}
	}
	return p, nil
}

func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindUnavailable, Message: fmt.Sprintf("listen on %s (%s)", address, flag), Err: err}
	}
	return listener, nil
}

func (p serverPorts) close() {
	for _, listener := range []net.Listener{p.restListener, p.xdsListener, p.authzListener, p.keysListener} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}
