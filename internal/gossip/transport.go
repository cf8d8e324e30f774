package gossip

import (
	"context"
	"log"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's, but for connections: those end with the host's part in the
// fleet, also the attempts at hosts that do not answer, which would hold it up.
type transport struct {
	*memberlist.NetTransport

	//nolint:containedctx // memberlist dials without one
	ctx context.Context
}

// portTries is how often a port is looked for that is free for UDP and TCP.
const portTries = 10

func newTransport(ctx context.Context, c *memberlist.Config) (*transport, error) {
	settings := &memberlist.NetTransportConfig{BindAddrs: []string{c.BindAddr}, BindPort: c.BindPort, Logger: log.New(c.LogOutput, "", 0)}
	net, err := memberlist.NewNetTransport(settings)
	for try := 1; err != nil && c.BindPort == 0 && try < portTries; try++ {
		net, err = memberlist.NewNetTransport(settings)
	}
	if err != nil {
		return nil, err
	}
	if c.BindPort == 0 {
		c.BindPort = net.GetAutoBindPort()
		if c.AdvertisePort == 0 {
			c.AdvertisePort = c.BindPort
		}
	}
	return &transport{net, ctx}, nil
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout}
	connection, err := dialer.DialContext(t.ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return cut{connection, context.AfterFunc(t.ctx, func() { _ = connection.Close() })}, nil
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// cut is a connection that is closed when a context ends.
type cut struct {
	net.Conn

	stop func() bool
}

// Close implements net.Conn.
func (c cut) Close() error {
	c.stop()
	return c.Conn.Close()
}
