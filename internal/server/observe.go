package server

import (
	"cmp"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// streamOperation is the one whose requests go on for as long as their readers like.
const streamOperation = "streamEvents"

// metrics are the server's own. Operations are those of the OpenAPI document;
// paths and names that a client makes up never become labels.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer, streams func() float64) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_http_requests_total", Help: "Requests answered by the REST API, by operation and status.",
		}, []string{"operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heddle_http_request_duration_seconds", Help: "How long requests to the REST API took, change streams aside.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "heddle_http_event_streams", Help: "Change streams that are open now.",
	}, streams)
	if r == nil {
		return m, nil
	}
	for _, one := range []prometheus.Collector{m.requests, m.seconds, open} {
		if err := r.Register(one); err != nil {
			return m, err
		}
	}
	return m, nil
}

// observe counts a request that was answered, and logs it.
func (s *Server) observe(w *answer, r *http.Request, operation string, began time.Time) {
	took, status := time.Since(began), cmp.Or(w.status, http.StatusOK)
	s.metrics.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	if operation != streamOperation {
		s.metrics.seconds.WithLabelValues(operation).Observe(took.Seconds())
	}
	if !s.logger.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	// The query and the other headers stay out: tokens get into them by mistake.
	s.logger.Debug("request", "operation", operation, "method", shown(r.Method), "path", shown(r.URL.Path), "status", status,
		"duration", took, "remote", r.RemoteAddr, "request_id", shown(requestID(r)))
}

// requestID is the name that the caller gave a request, "" if none.
func requestID(r *http.Request) string {
	return cmp.Or(r.Header.Get("Idempotency-Key"), r.Header.Get("X-Request-Id"))
}
