package client

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Each gives a client of each address that the server's name has now: of what every
// server has to be asked by itself. Known are those of an earlier call, by address, which
// are used again.
func (c *Client) Each(ctx context.Context, known map[netip.Addr]*Client) (map[netip.Addr]*Client, error) {
	host := c.base.Hostname()
	var found []netip.Addr
	if address, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{address}
	} else if found, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, mesh.Unavailable(err, "the addresses of the Heddle servers at %s are not known", host)
	}
	out := make(map[netip.Addr]*Client, len(found))
	for _, address := range found {
		address = address.Unmap()
		if out[address] = known[address]; out[address] == nil {
			out[address] = c.at(address)
		}
	}
	for address, one := range known {
		if out[address] == nil {
			one.Close()
		}
	}
	return out, nil
}

// at gives a copy of c that connects to an address of the server's name. Of a client
// with a transport of its own it is c itself.
func (c *Client) at(address netip.Addr) *Client {
	transport, is := c.http.Transport.(*http.Transport)
	if !is {
		return c
	}
	transport = transport.Clone()
	dialer := &net.Dialer{Timeout: c.timeout}
	transport.DialContext = func(ctx context.Context, network, target string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(target); err == nil && host == c.base.Hostname() { // else it is a proxy's
			target = net.JoinHostPort(address.String(), port)
		}
		return dialer.DialContext(ctx, network, target)
	}
	with, web := *c, *c.http
	web.Transport = transport
	with.http = &web
	return &with
}
