package main

import (
	"net"
	"slices"
)

// serverPorts are what a server listens on.
type serverPorts struct {
	restListener, xdsListener       net.Listener
	authzListener, keysListener     net.Listener // nil: none
	restTLSListener, xdsTLSListener net.Listener // nil: not over TLS
}

// of lists those that the flags ask for.
func (p *serverPorts) of(c *serverCmd) []port {
	return slices.DeleteFunc([]port{
		{&p.restListener, "--listen", c.Listen}, {&p.xdsListener, "--xds-listen", c.XDSListen},
		{&p.restTLSListener, "--tls-listen", c.TLSListen}, {&p.xdsTLSListener, "--xds-tls-listen", c.XDSTLSListen},
		{&p.authzListener, "--authz-listen", c.AuthzListen}, {&p.keysListener, "--authz-http-listen", c.AuthzHTTPListen},
	}, func(one port) bool { return one.address == "" })
}
