package webhook

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/heddle-mesh/heddle/internal/fair"
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

// intake bounds what callers hold between their first byte and their answer.
type intake struct{ held *fair.Shares }

func newIntake() intake { return intake{fair.New(mostHeld, eachLeaves)} }

var (
	errFull  = errors.New("too much is asked at once: try again")
	errLarge = errors.New("the body is too large")
)

// read gives a request's body. The caller calls leave when it needs it no more, and
// whatever the error is.
func (i intake) read(w http.ResponseWriter, r *http.Request, most int) (body []byte, leave func(), err error) {
	of := fair.Address(r.RemoteAddr)
	if !i.held.Take(of, eachHolds) {
		return nil, func() {}, errFull
	}
	counted := &counted{held: i.held, of: of, from: r.Body, most: most}
	leave = func() { i.held.Leave(of, eachHolds+counted.n) }
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
	held    *fair.Shares
	of      netip.Addr
	from    io.Reader
	n, most int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.n+n > c.most {
		return 0, errLarge
	}
	if n > 0 && !c.held.Take(c.of, n) {
		return 0, errFull
	}
	c.n += n
	return n, err
}
