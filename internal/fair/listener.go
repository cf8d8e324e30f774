package fair

import (
	"net"
	"sync"
)

// Listen has addresses hold no more connections of a listener than shares allow: what one
// opens beyond is closed at once.
func Listen(listener net.Listener, shares *Shares) net.Listener {
	return &sharing{Listener: listener, shares: shares}
}

type sharing struct {
	net.Listener
	shares *Shares
}

// Accept gives the next connection of an address that may hold one more.
func (l *sharing) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		of := Address(connection.RemoteAddr().String())
		if l.shares.Take(of, 1) {
			return &held{Conn: connection, leave: sync.OnceFunc(func() { l.shares.Leave(of, 1) })}, nil
		}
		connection.Close()
	}
}

// held is a connection of an address's share.
type held struct {
	net.Conn
	leave func()
}

// Close gives its place back.
func (c *held) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
