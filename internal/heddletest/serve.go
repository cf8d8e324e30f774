package heddletest

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// Serve is an application: it serves HTTP/1.1, and HTTP/2 without TLS, until the test ends
// or it is closed. Its Addr is where, also when the address has port 0.
func Serve(t testing.TB, address string, handler http.HandlerFunc) *http.Server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: listener.Addr().String(), Handler: handler, ReadHeaderTimeout: time.Minute, Protocols: protocols}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return server
}
