package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// client makes requests of an application, each in flight on a connection of its own.
type client struct {
	address string
	tls     *tls.Config // nil: plain text
	header  string      // lines
}

// run keeps so many requests in flight for a while, and gives how long each took,
// sorted. An answer that is not 200 ends it.
func (c *client) run(ctx context.Context, inFlight int, d time.Duration) ([]time.Duration, error) {
	took := make([][]time.Duration, inFlight)
	failed := make([]error, inFlight)
	var group sync.WaitGroup
	for worker := range inFlight {
		group.Go(func() {
			took[worker], failed[worker] = c.worker(ctx, d)
		})
	}
	group.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, errors.Join(failed...)
}

func (c *client) worker(ctx context.Context, d time.Duration) ([]time.Duration, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if _, err := c.ask(conn, in, "/"); err != nil { // the way there is made
		return nil, err
	}
	var took []time.Duration
	for end := time.Now().Add(d); ctx.Err() == nil; {
		begin := time.Now()
		if begin.After(end) {
			break
		}
		if _, err := c.ask(conn, in, "/"); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	return took, ctx.Err()
}

// get makes one request.
func (c *client) get(ctx context.Context, path string) (string, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return c.ask(conn, bufio.NewReader(conn), path)
}

func (c *client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
	if err != nil || c.tls == nil {
		return conn, err
	}
	secured := tls.Client(conn, c.tls)
	return secured, secured.HandshakeContext(ctx)
}

func (c *client) ask(conn net.Conn, in *bufio.Reader, path string) (string, error) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nhost: orders\r\nuser-agent: web/2.14.0\r\naccept: application/json\r\n%s\r\n", path, c.header); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %d: %s", response.StatusCode, body)
	}
	return string(body), err
}
