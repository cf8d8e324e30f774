package shop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// The line protocol: "PAY\n" is answered by one line, an [Answer] as JSON whose
// detail is the new balance. Any other line gets an Answer with an error.

// ledger serves the line protocol until ctx ends.
func (a *App) ledger(ctx context.Context, l net.Listener) error {
	var balance atomic.Int64
	return serveTCP(ctx, l, func(conn net.Conn) { a.book(conn, &balance) })
}

// serveTCP serves until ctx ends, and then ends the connections, which are idle or in
// the middle of one short line.
func serveTCP(ctx context.Context, l net.Listener, talk func(net.Conn)) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		conns.Go(func() {
			closeConn := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer closeConn()
			defer conn.Close()
			talk(conn)
		})
	}
}

// book answers the lines of one connection until it ends.
func (a *App) book(conn net.Conn, balance *atomic.Int64) {
	lines := bufio.NewScanner(conn)
	encoder := json.NewEncoder(conn)
	for lines.Scan() {
		a.count("")
		answer := a.answer("")
		if line := strings.TrimSpace(lines.Text()); line == "PAY" {
			answer.Detail = fmt.Sprintf("balance %d", balance.Add(1))
		} else {
			answer.Error = fmt.Sprintf("%q is not understood: send PAY", line)
		}
		if encoder.Encode(answer) != nil {
			return
		}
	}
}
