package discovery

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Metrics are of all sources that a server refreshes.
type Metrics struct {
	refreshes *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	calls     *prometheus.CounterVec
	throttled *prometheus.CounterVec
	machines  *prometheus.GaugeVec
	success   *prometheus.GaugeVec
}

// NewMetrics makes and registers them; nil registers them nowhere.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	of := []string{"source"}
	m := &Metrics{
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_discovery_refreshes_total", Help: "Refreshes of a source of machines: ok, or failed as a whole or in part."}, []string{"source", "result"}),
		seconds:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "heddle_discovery_refresh_seconds", Help: "How long refreshes of a source of machines took.", Buckets: []float64{.01, .05, .1, .5, 1, 2, 5, 10, 30, 60, 120, 300}}, of),
		calls:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_discovery_calls_total", Help: "Requests made of a source of machines."}, of),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_discovery_throttled_total", Help: "Requests that a source of machines answered with 429."}, of),
		machines:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "heddle_discovery_vms", Help: "Machines that a source has."}, of),
		success:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "heddle_discovery_last_success_timestamp_seconds", Help: "When the latest refresh began that had all of a source."}, of),
	}
	if registerer != nil {
		registerer.MustRegister(m.refreshes, m.seconds, m.calls, m.throttled, m.machines, m.success)
	}
	return m
}

func (m *Metrics) refreshed(s *mesh.DiscoverySource, took time.Duration, failed bool) {
	result := "ok"
	if failed {
		result = "failed"
	}
	m.refreshes.WithLabelValues(s.Name, result).Inc()
	m.seconds.WithLabelValues(s.Name).Observe(took.Seconds())
	m.calls.WithLabelValues(s.Name).Add(float64(s.Calls))
	m.throttled.WithLabelValues(s.Name).Add(float64(s.Throttled))
	m.machines.WithLabelValues(s.Name).Set(float64(s.VMs))
	if !s.LastSuccess.IsZero() {
		m.success.WithLabelValues(s.Name).Set(float64(s.LastSuccess.Unix()))
	}
}

// Left takes away what is said of sources that this server refreshes no more.
func (m *Metrics) Left() {
	m.machines.Reset()
	m.success.Reset()
}
