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
	settings  *prometheus.GaugeVec
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
		success:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "heddle_discovery_last_success_timestamp_seconds", Help: "When the latest refresh began that had all of a source; if none had, when the server that refreshes it first did."}, of),
		settings:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "heddle_discovery_configured", Help: "1: the server's settings have the source, whichever server refreshes it."}, of),
	}
	if registerer != nil {
		registerer.MustRegister(m.refreshes, m.seconds, m.calls, m.throttled, m.machines, m.success, m.settings)
	}
	return m
}

// Configured says that the server's settings have a source.
func (m *Metrics) Configured(source string) { m.settings.WithLabelValues(source).Set(1) }

// refreshed takes in a refresh; since is when the refresher began its first.
func (m *Metrics) refreshed(s *mesh.DiscoverySource, since time.Time, took time.Duration, failed bool) {
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
		since = s.LastSuccess
	}
	m.success.WithLabelValues(s.Name).Set(float64(since.Unix()))
}

// Left takes away what is said of sources that this server refreshes no more.
func (m *Metrics) Left() {
	m.machines.Reset()
	m.success.Reset()
}
