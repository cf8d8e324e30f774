package fair_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/fair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const greedy, other = "127.0.0.2", "127.0.0.3"

// shared serves on a shared listener: each connection that has a place is told so and
// kept until its end is asked for. dial opens one from an address.
func shared(t *testing.T, all, leaves int) (dial func(from string) net.Conn, end func()) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := fair.Listen(inner, fair.New(all, leaves))
	accepted := make(chan net.Conn, all)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
				return
			}
			_, _ = io.WriteString(connection, "welcome")
			accepted <- connection
		}
	}()
	end = func() {
		connection := <-accepted
		connection.Close()
		connection.Close() // as net/http does now and then: it gives one place back
	}
	t.Cleanup(func() {
		listener.Close()
		<-done
		for len(accepted) > 0 {
			end()
		}
	})
	return func(from string) net.Conn {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		connection, err := dialer.DialContext(t.Context(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		return connection
	}, end
}

// said is what the listener's side says of a connection: "welcome" or "closed".
func said(t *testing.T, connection net.Conn) string {
	t.Helper()
	_ = connection.SetReadDeadline(time.Now().Add(20 * time.Second))
	text := make([]byte, len("welcome"))
	_, err := io.ReadFull(connection, text)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection is neither served nor closed")
	}
	if err != nil {
		return "closed"
	}
	return string(text)
}

func TestAnAddressHasItsShareAndNoMore(t *testing.T) {
	dial, end := shared(t, 9, 2) // a third of all
	for range 3 {
		if got := said(t, dial(greedy)); got != "welcome" {
			t.Fatalf("within its share: %s", got)
		}
	}
	for range 3 {
		if got := said(t, dial(greedy)); got != "closed" {
			t.Errorf("beyond its share: %s", got)
		}
	}
	if got := said(t, dial(other)); got != "welcome" {
		t.Errorf("another address: %s", got)
	}
	end() // greedy's first
	if got := said(t, dial(greedy)); got != "closed" {
		t.Errorf("beyond a third of what is left: %s", got)
	}
	end()
	if got := said(t, dial(greedy)); got != "welcome" {
		t.Errorf("once connections ended: %s", got)
	}
	if got := said(t, dial(greedy)); got != "closed" {
		t.Errorf("an end gives more than one place: %s", got)
	}
}

// TestClosedFromManySides gives each place back once.
func TestClosedFromManySides(t *testing.T) {
	const each = 8
	dial, end := shared(t, 3*each, 2)
	for range 20 {
		var running sync.WaitGroup
		for range each {
			connection := dial(greedy)
			running.Go(func() {
				if got := said(t, connection); got != "welcome" {
					t.Errorf("a place was lost: %s", got)
				}
			})
		}
		running.Wait()
		if t.Failed() {
			return
		}
		for range each {
			running.Go(end)
		}
		running.Wait()
	}
}
