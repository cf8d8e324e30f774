package grpcapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
)

// A watcher that reads nothing is cut off: what it does not take would pile up
// in the server for as long as it stays.
func TestAWatcherThatTakesNothingIsCutOff(t *testing.T) {
	h := start(t)
	for i := range 6 {
		h.create(bigUpstream(fmt.Sprintf("big-%d", i)))
	}
	metrics := prometheus.NewRegistry()
	h.metrics, h.takeTimeout = metrics, 200*time.Millisecond
	s := h.serve()
	stream, err := s.upstreams.WatchUpstreams(h.reader(), &heddlev1.WatchUpstreamsRequest{})
	ok(t, err)
	handler := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
	deadline := time.Now().Add(20 * time.Second)
	for {
		page := httptest.NewRecorder()
		handler.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		if strings.Contains(page.Body.String(), `heddle_grpc_requests_total{code="Unavailable",operation="WatchUpstreams"} 1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the watch is still open:\n%s", page.Body)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	refused(t, err, codes.Unavailable, "resume from revision 0")
}
