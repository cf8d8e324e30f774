package placement

import "github.com/prometheus/client_golang/prometheus"

// Metrics are of the server that places machines; on the others they are zero.
type Metrics struct {
	writes  *prometheus.CounterVec
	failing prometheus.Gauge
	leftOut prometheus.Gauge

	over map[Set]int // of the placer's goroutine
}

// NewMetrics makes and registers them; nil registers them nowhere.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		writes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_placement_writes_total", Help: "Writes of what a service has of a source of machines: ok, or failed."}, []string{"result"}),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{Name: "heddle_placement_failing", Help: "Services, by source of machines, whose machines could not be written as their instances: they stay what they were."}),
		leftOut: prometheus.NewGauge(prometheus.GaugeOpts{Name: "heddle_placement_left_out", Help: "Machines that are fit to be instances and are none, because their service has as many of their source as it may."}),
		over:    map[Set]int{},
	}
	for _, result := range []string{"ok", "failed"} {
		m.writes.WithLabelValues(result)
	}
	if registerer != nil {
		registerer.MustRegister(m.writes, m.failing, m.leftOut)
	}
	return m
}

func (m *Metrics) written(result string) { m.writes.WithLabelValues(result).Inc() }

// overflows notes how many machines of a set are left out.
func (m *Metrics) overflows(of Set, left int) {
	if m.over[of] == left {
		return
	}
	if m.over[of] = left; left == 0 {
		delete(m.over, of)
	}
	total := 0
	for _, one := range m.over {
		total += one
	}
	m.leftOut.Set(float64(total))
}

// left says that this server places no more.
func (m *Metrics) left() {
	clear(m.over)
	m.leftOut.Set(0)
	m.failing.Set(0)
}
