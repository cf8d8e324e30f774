package attest

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what became of pods that asked.
type Metrics struct{ pods *prometheus.CounterVec }

// NewMetrics makes them, and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{pods: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_operator_attestations_total",
		Help: "Requests of pods for a join token, by result: attested, refused, limited (too many), failed (the API server or the mesh did not answer)."}, []string{"result"})}
	for _, result := range []string{"attested", "refused", "limited", "failed"} {
		m.pods.WithLabelValues(result)
	}
	r.MustRegister(m.pods)
	return m
}

func (m *Metrics) count(result string) {
	if m != nil {
		m.pods.WithLabelValues(result).Inc()
	}
}
