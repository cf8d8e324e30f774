package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"sync"
)

// rooted verifies servers by the certificates of a file that may be replaced meanwhile: it
// is looked at before each call. While it cannot be used, the last ones stay.
type rooted struct {
	file string
	like *http.Transport // but for its roots

	mu     sync.Mutex
	data   []byte          // as last used
	routed *http.Transport // with the roots of data
}

// newRooted fails if the file cannot be used now.
func newRooted(file string, like *http.Transport) (*rooted, error) {
	r := &rooted{file: file, like: like}
	if err := r.read(); err != nil {
		return nil, err
	}
	return r, nil
}

// RoundTrip calls a server that the roots verify.
func (r *rooted) RoundTrip(request *http.Request) (*http.Response, error) {
	_ = r.read() // else with the last ones: if those have ended, the handshake says so
	r.mu.Lock()
	routed := r.routed
	r.mu.Unlock()
	return routed.RoundTrip(request)
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (r *rooted) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.routed.CloseIdleConnections()
}

// read takes what the file holds if that is new. Connections that the old roots verified
// are used no more, calls in flight aside.
func (r *rooted) read() error {
	data, err := os.ReadFile(r.file)
	if err != nil {
		return fmt.Errorf("read the certificates that the server is verified by: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.routed != nil && bytes.Equal(data, r.data) {
		return nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return fmt.Errorf("%s holds no certificate in PEM form that the server could be verified by", r.file)
	}
	old := r.routed
	r.data, r.routed = data, r.like.Clone()
	r.routed.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if old != nil {
		old.CloseIdleConnections()
	}
	return nil
}
