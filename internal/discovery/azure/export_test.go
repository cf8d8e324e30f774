package azure

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// Hasten has a source make failed requests again at once, because tests do not wait.
func Hasten(s *Source) { s.options.Retry.RetryDelay = time.Millisecond }

// Through has a source log in by a client that trusts a server of a test.
func Through(s *Source, client *http.Client) { s.login.through = client }

// Record has a source remember what it asks from now on.
func Record(s *Source) (asked func() []*http.Request) {
	r := &recorder{to: s.transport.client.Transport}
	s.transport.client.Transport = r
	return func() []*http.Request {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.asked
	}
}

type recorder struct {
	to    http.RoundTripper
	mu    sync.Mutex // guards asked
	asked []*http.Request
}

// RoundTrip remembers a request with its body, and makes it.
func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	kept := request.Clone(context.Background())
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		kept.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	r.mu.Lock()
	r.asked = append(r.asked, kept)
	r.mu.Unlock()
	return r.to.RoundTrip(request)
}
