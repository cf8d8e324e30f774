package gossip

import (
	"net"
	"sync/atomic"
	"time"
)

// traffic is what all hosts together sent, with the headers of IP, UDP and TCP.
type traffic struct{ packets, packetBytes, connections, connectionBytes atomic.Int64 }

// counted is a transport whose traffic is counted; of a connection both directions, where it is dialed.
type counted struct {
	*transport

	sent *traffic
}

// WriteTo implements memberlist.Transport.
func (c counted) WriteTo(b []byte, to string) (time.Time, error) {
	c.sent.packets.Add(1)
	c.sent.packetBytes.Add(int64(len(b)) + 28)
	return c.transport.WriteTo(b, to)
}

// DialTimeout implements memberlist.Transport.
func (c counted) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	connection, err := c.transport.DialTimeout(address, timeout)
	if err != nil {
		return nil, err
	}
	c.sent.connections.Add(1)
	c.sent.connectionBytes.Add(connectionHeaders)
	return countedConn{connection, c.sent}, nil
}

type countedConn struct {
	net.Conn

	sent *traffic
}

// Read implements net.Conn.
func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.sent.connectionBytes.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.connectionBytes.Add(int64(n))
	return n, err
}
