package azure

import (
	"net/http"
	"sync/atomic"

	"github.com/heddle-mesh/heddle/internal/discovery"
)

// inFlight bounds how many requests are made at once, of all scopes together.
const inFlight = 16

// transport counts what is asked, and bounds it.
type transport struct {
	client    *http.Client
	slots     chan struct{}
	calls     atomic.Int64
	throttled atomic.Int64
}

func newTransport() *transport {
	own := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	own.MaxIdleConnsPerHost = inFlight
	return &transport{client: &http.Client{Transport: own}, slots: make(chan struct{}, inFlight)}
}

// Do makes one request.
func (t *transport) Do(request *http.Request) (*http.Response, error) {
	select {
	case t.slots <- struct{}{}:
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
	defer func() { <-t.slots }()
	t.calls.Add(1)
	answer, err := t.client.Do(request)
	if err == nil && answer.StatusCode == http.StatusTooManyRequests {
		t.throttled.Add(1)
	}
	return answer, err
}

// cost gives what was asked since the last time.
func (t *transport) cost() discovery.Cost {
	return discovery.Cost{Calls: int(t.calls.Swap(0)), Throttled: int(t.throttled.Swap(0))}
}
