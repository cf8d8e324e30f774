package shop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// usesPerConn is after how many payments a connection is given up: rarely
// enough that ports are not used up, often enough that new connections, and so
// changed endpoints, are always in use.
const usesPerConn = 64

// ledgerClient keeps idle connections to ledger, by way of the sidecar.
type ledgerClient struct {
	address string
	mu      sync.Mutex
	idle    []*ledgerConn // guarded by mu
	closed  bool          // guarded by mu
}

type ledgerConn struct {
	conn   net.Conn
	reader *bufio.Reader
	uses   int
}

func newLedgerClient(address string) *ledgerClient { return &ledgerClient{address: address} }

// ask books one payment. A connection that turns out to have ended while idle
// is replaced once: nothing was booked on it, since nothing was answered.
func (c *ledgerClient) ask(ctx context.Context) (Answer, error) {
	for {
		conn, err := c.take(ctx)
		if err != nil {
			return Answer{}, fmt.Errorf("call %s: %w", Ledger, err)
		}
		reused := conn.uses > 0
		answer, err := conn.pay()
		if err == nil {
			c.give(conn)
			return answer, nil
		}
		_ = conn.conn.Close()
		if !reused || ctx.Err() != nil {
			return Answer{}, fmt.Errorf("call %s: %w", Ledger, err)
		}
	}
}

func (l *ledgerConn) pay() (Answer, error) {
	l.uses++
	if err := l.conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return Answer{}, err
	}
	if _, err := l.conn.Write([]byte("PAY\n")); err != nil {
		return Answer{}, err
	}
	line, err := l.reader.ReadBytes('\n')
	if err != nil {
		return Answer{}, fmt.Errorf("it ended the connection without an answer: %w", err)
	}
	var answer Answer
	if err := json.Unmarshal(line, &answer); err != nil {
		return Answer{}, fmt.Errorf("its answer is not the JSON expected: %w", err)
	}
	if answer.Error != "" {
		return Answer{}, errors.New(answer.Error)
	}
	return answer, nil
}

func (c *ledgerClient) take(ctx context.Context) (*ledgerConn, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		conn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return conn, nil
	}
	c.mu.Unlock()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	return &ledgerConn{conn: conn, reader: bufio.NewReader(conn)}, nil
}

func (c *ledgerClient) give(conn *ledgerConn) {
	c.mu.Lock()
	keep := !c.closed && conn.uses < usesPerConn
	if keep {
		c.idle = append(c.idle, conn)
	}
	c.mu.Unlock()
	if !keep {
		_ = conn.conn.Close()
	}
}

func (c *ledgerClient) close() {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.closed = nil, true
	c.mu.Unlock()
	for _, conn := range idle {
		_ = conn.conn.Close()
	}
}
