package probes_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/probes"
)

// TestCallersThatStallTakeNoMoreThanTheirPlaces: those that send half a request, or never
// read, are cut, no more than so many of an address are held at a time, and the kubelet is
// answered beside them.
func TestCallersThatStallTakeNoMoreThanTheirPlaces(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	handler := &probes.Handler{Ready: func() error { return nil }}
	go func() { done <- handler.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	dial := func(from, text string) net.Conn {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		connection, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		_, _ = io.WriteString(connection, text) // it may be closed already
		return connection
	}
	answer := func(connection net.Conn, within time.Duration) string {
		_ = connection.SetReadDeadline(time.Now().Add(within))
		text, _ := io.ReadAll(connection)
		return string(text)
	}
	const kubelet, pod = "127.0.0.1", "127.0.0.2"
	const whole = "GET /ready HTTP/1.1\r\nHost: pod\r\n\r\n"
	began := time.Now()
	if text := answer(dial(kubelet, whole), 5*time.Second); !strings.HasPrefix(text, "HTTP/1.1 200") || time.Since(began) > 4*time.Second {
		t.Fatalf("the connection stays, or was not answered, after %s: %q", time.Since(began), text)
	}
	stalled := dial(pod, strings.Replace(whole, "\r\n\r\n", "\r\nContent-Length: 9\r\n\r\n", 1)) // and the 9 bytes never come
	for range 600 {
		dial(pod, "GET /ready HTTP/1.1\r\n")
	}
	if text := answer(dial(pod, whole), time.Second); text != "" {
		t.Errorf("one address has more than its share: %q", text)
	}
	if text := answer(dial(kubelet, whole), time.Second); !strings.HasPrefix(text, "HTTP/1.1 200") {
		t.Errorf("beside those that stall: %q", text)
	}
	_ = stalled.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, stalled); err != nil {
		t.Errorf("one whose body does not come is kept: %v", err)
	}
	if text := answer(dial(pod, whole), time.Second); !strings.HasPrefix(text, "HTTP/1.1 200") {
		t.Errorf("its places are not given back: %q", text)
	}
}
