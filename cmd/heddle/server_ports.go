package main

import (
	"context"
	"fmt"
	"net"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// serverPorts are what a server listens on.
type serverPorts struct {
	restListener, xdsListener       net.Listener
	authzListener, keysListener     net.Listener // nil: none
	restTLSListener, xdsTLSListener net.Listener // nil: not over TLS
}

// takePorts listens on all of them or on none.
func takePorts(ctx context.Context, c *serverCmd) (p serverPorts, err error) {
	for _, one := range []struct {
		listener      *net.Listener
		flag, address string
	}{
		{&p.restListener, "--listen", c.Listen}, {&p.xdsListener, "--xds-listen", c.XDSListen},
		{&p.restTLSListener, "--tls-listen", c.TLSListen}, {&p.xdsTLSListener, "--xds-tls-listen", c.XDSTLSListen},
		{&p.authzListener, "--authz-listen", c.AuthzListen}, {&p.keysListener, "--authz-http-listen", c.AuthzHTTPListen},
	} {
		if one.address == "" {
			continue
		}
		if *one.listener, err = listen(ctx, one.flag, one.address); err != nil {
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
	for _, listener := range []net.Listener{p.restListener, p.xdsListener, p.restTLSListener, p.xdsTLSListener, p.authzListener, p.keysListener} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}
