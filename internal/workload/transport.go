package workload

import (
	"crypto/tls"
	"net/http"
	"sync"
	"time"
)

// idleTime is how long a connection that nobody uses stays open.
const idleTime = 30 * time.Second

// Transport makes HTTP requests as the workload. Each new certificate begins new
// connections: one that outlived its certificate would prove nothing any more.
type Transport struct {
	own *Identity

	mu      sync.Mutex
	of      *tls.Certificate // guarded by mu: whose connections current has
	current *http.Transport  // guarded by mu
}

// Transport makes a transport; its connections end with CloseIdleConnections.
func (i *Identity) Transport() *Transport { return &Transport{own: i} }

// RoundTrip makes one request.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.present().RoundTrip(r)
}

func (t *Transport) present() *http.Transport {
	certificate := t.own.current().certificate
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of != certificate {
		if t.current != nil {
			t.current.CloseIdleConnections() // those in use are closed once they were idle for a while
		}
		t.of, t.current = certificate, &http.Transport{
			TLSClientConfig: t.own.TLS(), Proxy: http.ProxyFromEnvironment,
			TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 4, IdleConnTimeout: idleTime,
		}
	}
	return t.current
}

// CloseIdleConnections is called by http.Client's method of the same name.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
}
