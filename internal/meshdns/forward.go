package meshdns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// forwarder asks other resolvers.
type forwarder struct {
	resolvers *resolvers
	timeout   time.Duration // for one resolver
	ports     sourcePorts

	mu   sync.Mutex
	ours map[netip.AddrPort]int // guarded by mu; the sockets from which queries are asked now
}

// errNoResolver: resolv.conf names none.
var errNoResolver = errors.New("it names no resolver")

// forward passes a query on as it is, to one resolver after the other, and gives
// the answer as it came. One that fails to find out is the last word only if no
// other resolver knows more.
func (f *forwarder) forward(ctx context.Context, network string, raw []byte) ([]byte, error) {
	list, err := f.resolvers.list()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("read %s: %w", f.resolvers.path, errNoResolver)
	}
	var unsure []byte
	var faults []error
	for _, resolver := range list {
		answer, err := f.ask(ctx, network, resolver, raw)
		if err != nil {
			faults = append(faults, err)
			f.resolvers.failed(resolver)
			continue
		}
		if code := int(answer[3] & 0xF); code == dns.RcodeServerFailure || code == dns.RcodeRefused {
			unsure = answer
			continue
		}
		return answer, nil
	}
	if unsure != nil {
		return unsure, nil
	}
	return nil, errors.Join(faults...)
}

// ask asks one resolver, under an ID of its own.
func (f *forwarder) ask(ctx context.Context, network string, resolver netip.AddrPort, raw []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	connection, err := f.ports.dial(ctx, network, resolver)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	defer f.own(connection.LocalAddr())()

	query := bytes.Clone(raw)
	if _, err := rand.Read(query[:2]); err != nil {
		return nil, err
	}
	if network == "tcp" {
		if err := writeTCP(connection, query); err != nil {
			return nil, err
		}
		answer, err := readTCP(connection)
		if err == nil && !answers(answer, query) {
			err = fmt.Errorf("%s answers something else than it was asked", resolver)
		}
		return restored(answer, raw), err
	}
	if _, err := connection.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return nil, err
		}
		if answers(buffer[:n], query) { // else it is a guess of somebody's
			return restored(bytes.Clone(buffer[:n]), raw), nil
		}
	}
}

// answers says whether a message is the answer to a query: the ID and the question are its own.
func answers(answer, query []byte) bool {
	if len(answer) < headerLen || answer[2]&0x80 == 0 || !bytes.Equal(answer[:2], query[:2]) {
		return false
	}
	if binary.BigEndian.Uint16(answer[4:]) == 0 { // some leave the question out of a failure
		return answer[3]&0xF != dns.RcodeSuccess
	}
	asked, end, err := question(query)
	if err != nil {
		return false
	}
	echoed, _, err := question(answer)
	return err == nil && end <= len(query) && asked == echoed
}

// question is the first one of a message, with the name in lower case.
func question(raw []byte) (dns.Question, int, error) {
	name, at, err := dns.UnpackDomainName(raw, headerLen)
	if err != nil || at+4 > len(raw) {
		return dns.Question{}, at, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return dns.Question{
		Name: dns.CanonicalName(name), Qtype: binary.BigEndian.Uint16(raw[at:]), Qclass: binary.BigEndian.Uint16(raw[at+2:]),
	}, at + 4, nil
}

// restored gives an answer the ID of the query that it is for.
func restored(answer, query []byte) []byte {
	if len(answer) >= headerLen {
		copy(answer, query[:2])
	}
	return answer
}

// own notes the address of a socket of ours, until forget is called.
func (f *forwarder) own(local net.Addr) (forget func()) {
	at := addressOf(local)
	f.mu.Lock()
	f.ours[at]++
	f.mu.Unlock()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.ours[at]--; f.ours[at] <= 0 {
			delete(f.ours, at)
		}
	}
}

// isOurs says whether a query from there is one of ours that came back.
func (f *forwarder) isOurs(from netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ours[from] > 0
}

func addressOf(a net.Addr) netip.AddrPort {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func writeTCP(to io.Writer, message []byte) error {
	if len(message) > 1<<16-1 {
		return fmt.Errorf("a message of %d bytes is too long for DNS", len(message))
	}
	_, err := to.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

func readTCP(from io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(from, message)
	return message, err
}
