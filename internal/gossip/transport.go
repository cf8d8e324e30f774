package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/time/rate"
)

// transport carries the packets and connections of memberlist, whose own takes 64 KiB of
// memory for each packet. A packet takes what it has here, and connections of both
// directions end with the host's part in the fleet, also the attempts at hosts that do not
// answer, which would hold it up.
type transport struct {
	//nolint:containedctx // memberlist dials without one
	ctx    context.Context
	logger *slog.Logger
	warn   rate.Sometimes

	udp     *net.UDPConn
	tcp     *net.TCPListener
	packets chan *memberlist.Packet
	streams chan net.Conn
	closed  chan struct{}
	close   func() error
	readers sync.WaitGroup
}

const (
	portTries   = 10      // how often a port is looked for that is free for UDP and TCP
	mostPacket  = 1 << 16 // bytes
	mostWaiting = 2 << 20 // bytes of packets that the system keeps until they are read, if it lets us
	afterError  = 50 * time.Millisecond
)

// newTransport listens; port 0 is a free one, the same for both.
func newTransport(ctx context.Context, bind netip.AddrPort, logger *slog.Logger) (*transport, error) {
	t := &transport{ctx: ctx, logger: logger, warn: rate.Sometimes{Interval: sayAgain}, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), closed: make(chan struct{})}
	err := t.listen(bind)
	for try := 1; err != nil && bind.Port() == 0 && try < portTries; try++ {
		err = t.listen(bind)
	}
	if err != nil {
		return nil, err
	}
	_ = t.udp.SetReadBuffer(mostWaiting) // what the system gives has to do
	t.close = sync.OnceValue(func() error {
		close(t.closed)
		return errors.Join(t.udp.Close(), t.tcp.Close())
	})
	t.readers.Go(t.readPackets)
	t.readers.Go(t.accept)
	return t, nil
}

func (t *transport) listen(bind netip.AddrPort) (err error) {
	if t.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bind)); err != nil {
		return err
	}
	if t.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind.Addr(), t.port()))); err != nil {
		return errors.Join(err, t.tcp.Close())
	}
	return nil
}

// port is where it listens.
func (t *transport) port() uint16 { return addrPortOf(t.tcp.Addr()).Port() }

func (t *transport) readPackets() {
	buffer := make([]byte, mostPacket)
	for {
		n, from, err := t.udp.ReadFrom(buffer)
		at := time.Now()
		if err != nil {
			if !t.goesOn("packets cannot be read", err) {
				return
			}
			continue
		}
		if n == 0 {
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: slices.Clone(buffer[:n]), From: from, Timestamp: at}:
		case <-t.closed:
			return
		}
	}
}

func (t *transport) accept() {
	for {
		accepted, err := t.tcp.Accept()
		if err != nil {
			if !t.goesOn("connections cannot be accepted", err) {
				return
			}
			continue
		}
		connection := t.cut(accepted)
		select {
		case t.streams <- connection:
		case <-t.closed:
			_ = connection.Close()
			return
		}
	}
}

// goesOn says whether to try again after an error, and waits until then.
func (t *transport) goesOn(what string, err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	t.warn.Do(func() { t.logger.Warn(what+" of other hosts", "error", err) })
	select {
	case <-time.After(afterError):
		return true
	case <-t.closed:
		return false
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	at := addrPortOf(t.tcp.Addr())
	return at.Addr().AsSlice(), int(at.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(body []byte, address string) (time.Time, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return time.Time{}, fmt.Errorf("send a packet to %q: %w", address, err)
	}
	_, err = t.udp.WriteToUDPAddrPort(body, to)
	return time.Now(), err
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport: when it returns, nothing is read any more.
func (t *transport) Shutdown() error {
	err := t.close()
	t.readers.Wait()
	return err
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout}
	connection, err := dialer.DialContext(t.ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return t.cut(connection), nil
}

func (t *transport) cut(connection net.Conn) net.Conn {
	return cut{connection, context.AfterFunc(t.ctx, func() { _ = connection.Close() })}
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

// addrPortOf gives the address of a TCP listener.
func addrPortOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		at := tcp.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return netip.AddrPort{}
}
