package probes

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// mostConnections are answered at a time, for anybody in the cluster may ask; more
	// wait until others end. Each asks once, as a kubelet does. Of one address there are
	// no more than mostOfOne, so that no pod keeps the kubelet waiting.
	mostConnections = 512
	mostOfOne       = 32
	// readTimeout is for a whole request, and answerTimeout for an answer beside the
	// time that its probe may take.
	readTimeout   = 5 * time.Second
	answerTimeout = 10 * time.Second
)

// Serve answers on a listener until ctx ends.
func (h *Handler) Serve(ctx context.Context, listener net.Listener) error {
	longest := time.Duration(0)
	for _, one := range h.Probes {
		longest = max(longest, one.timeout())
	}
	server := &http.Server{
		Handler:     h,
		ReadTimeout: readTimeout, WriteTimeout: answerTimeout + longest, MaxHeaderBytes: 16 << 10,
	}
	server.SetKeepAlivesEnabled(false)
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(netutil.LimitListener(&fair{Listener: listener, held: map[string]int{}}, mostConnections))
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// fair is a listener that closes at once what an address opens beyond its share.
type fair struct {
	net.Listener

	mu   sync.Mutex
	held map[string]int // by address
}

// Accept gives the next connection of an address that has not got its share.
func (l *fair) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		of, _, _ := net.SplitHostPort(connection.RemoteAddr().String())
		if l.take(of) {
			return &held{Conn: connection, leave: sync.OnceFunc(func() { l.leave(of) })}, nil
		}
		connection.Close()
	}
}

func (l *fair) take(of string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[of] >= mostOfOne {
		return false
	}
	l.held[of]++
	return true
}

func (l *fair) leave(of string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[of]--; l.held[of] == 0 {
		delete(l.held, of)
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
