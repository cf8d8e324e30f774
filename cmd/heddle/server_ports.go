package main

import (
	"net"
	"slices"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

// serverPorts are what a server listens on.
type serverPorts struct {
	restListener, xdsListener       net.Listener
	authzListener, keysListener     net.Listener // nil: none
	restTLSListener, xdsTLSListener net.Listener // nil: not over TLS
}

// of lists those that the flags ask for.
func (p *serverPorts) of(c *serverCmd) []cli.Port {
	return slices.DeleteFunc([]cli.Port{
		{Listener: &p.restListener, Flag: "--listen", Address: c.Listen}, {Listener: &p.xdsListener, Flag: "--xds-listen", Address: c.XDSListen},
		{Listener: &p.restTLSListener, Flag: "--tls-listen", Address: c.TLSListen}, {Listener: &p.xdsTLSListener, Flag: "--xds-tls-listen", Address: c.XDSTLSListen},
		{Listener: &p.authzListener, Flag: "--authz-listen", Address: c.AuthzListen}, {Listener: &p.keysListener, Flag: "--authz-http-listen", Address: c.AuthzHTTPListen},
	}, func(one cli.Port) bool { return one.Address == "" })
}
