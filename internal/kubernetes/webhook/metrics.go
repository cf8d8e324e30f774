package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the webhook decided.
type Metrics struct {
	pods    *prometheus.CounterVec
	seconds prometheus.Histogram
}

// NewMetrics makes them, and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		pods: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_operator_pods_total",
			Help: "Pods that the injector was asked about, by result: injected, left (no sidecar, or it has it), refused, failed; malformed: no pod at all; limited: one of too many at once."}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "heddle_operator_inject_seconds",
			Help: "How long the injector took to answer.", Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5}}),
	}
	for _, result := range []string{"injected", "left", "refused", "failed", "malformed", "limited"} {
		m.pods.WithLabelValues(result)
	}
	r.MustRegister(m.pods, m.seconds)
	return m
}

func (m *Metrics) count(result string, began time.Time) {
	if m == nil {
		return
	}
	m.pods.WithLabelValues(result).Inc()
	m.seconds.Observe(time.Since(began).Seconds())
}
