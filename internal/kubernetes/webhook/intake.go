package webhook

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// mostHeld bounds the bodies that all callers together have in memory.
	mostHeld = 48 << 20
	// eachLeaves is how many times of what an address holds there has to be left for others.
	eachLeaves = 8
	// eachHolds is what a call holds before its first byte: a connection's or a stream's buffers.
	eachHolds = 8 << 10
	// mostReading is how long a body may take. The API server's arrives at once.
	mostReading = 2 * time.Second
)

// intake bounds what callers hold between their first byte and their answer. An address
// may hold a part of what is left (the dynamic thresholds of Choudhury and Hahne, 1998):
// one alone a ninth of all, the next one a ninth of the rest, so that there is something
// for whoever comes.
type intake struct {
	mu   sync.Mutex
	free int                // guarded by mu, as below
	held map[netip.Addr]int // no zeros
}

func newIntake() *intake { return &intake{free: mostHeld, held: map[netip.Addr]int{}} }

var (
	errFull  = errors.New("too much is asked at once: try again")
	errLarge = errors.New("the body is too large")
)

// take has an address hold n bytes more, if it may.
func (i *intake) take(of netip.Addr, n int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if eachLeaves*(i.held[of]+n) > i.free-n {
		return false
	}
	i.free -= n
	i.held[of] += n
	return true
}

func (i *intake) leave(of netip.Addr, n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.free += n
	if i.held[of] -= n; i.held[of] == 0 {
		delete(i.held, of)
	}
}

// read gives a request's body. The caller calls leave when it needs it no more, and
// whatever the error is.
func (i *intake) read(w http.ResponseWriter, r *http.Request, most int) (body []byte, leave func(), err error) {
	var of netip.Addr // the zero one is that of all without
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		of = from.Addr().Unmap().WithZone("")
	}
	if !i.take(of, eachHolds) {
		return nil, func() {}, errFull
	}
	counted := &counted{intake: i, of: of, from: r.Body, most: most}
	leave = func() { i.leave(of, eachHolds+counted.n) }
	connection := http.NewResponseController(w)
	if err := connection.SetReadDeadline(time.Now().Add(mostReading)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, leave, err
	}
	if body, err = io.ReadAll(counted); err != nil {
		return nil, leave, err
	}
	_ = connection.SetReadDeadline(time.Time{}) // it may not end the answer
	return body, leave, nil
}

// counted is a body, each byte of which is taken.
type counted struct {
	intake  *intake
	of      netip.Addr
	from    io.Reader
	n, most int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.n+n > c.most {
		return 0, errLarge
	}
	if n > 0 && !c.intake.take(c.of, n) {
		return 0, errFull
	}
	c.n += n
	return n, err
}
