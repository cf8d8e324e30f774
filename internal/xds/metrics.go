package xds

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the server's figures. Labels have few values: types and
// transports, never proxies.
type metrics struct {
	streams   *prometheus.GaugeVec
	waiting   prometheus.Gauge
	refused   prometheus.Counter
	responses *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	answers   *prometheus.CounterVec
	apply     prometheus.Histogram
	woken     prometheus.Counter
	taken     *prometheus.HistogramVec

	propagation *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer, t *table) *metrics {
	m := &metrics{
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "heddle_xds_streams", Help: "Open xDS streams, by service and variant.",
		}, []string{"transport"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "heddle_xds_streams_waiting", Help: "Streams that wait for their turn to open, because many came at once.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heddle_xds_streams_refused_total", Help: "Streams refused because the server had as many as it may.",
		}),
		responses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_xds_responses_total", Help: "Responses sent to proxies, by type.",
		}, []string{"type"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_xds_response_bytes_total", Help: "Bytes of responses sent to proxies, by type.",
		}, []string{"type"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_xds_answers_total", Help: "Responses that proxies acknowledged (ack) or refused (nack), by type.",
		}, []string{"type", "answer"}),
		apply: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heddle_xds_apply_seconds", Help: "Time to put one update in force.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 4, 12),
		}),
		woken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heddle_xds_streams_woken_total", Help: "Streams woken by updates: those that asked for something that changed.",
		}),
		taken: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heddle_xds_acknowledged_seconds", Help: "Time from an update to a proxy's acknowledgement of it, by type.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 4, 10),
		}, []string{"type"}),
		propagation: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heddle_xds_propagation_seconds", Help: "Time from the write of a change to a proxy's acknowledgement of it, by type. The write is dated by the server that wrote.",
			Buckets: prometheus.ExponentialBuckets(1e-3, 2.5, 14),
		}, []string{"type"}),
	}
	if r != nil {
		r.MustRegister(m.streams, m.waiting, m.refused, m.responses, m.bytes, m.answers, m.apply, m.woken, m.taken, m.propagation, present{t})
	}
	return m
}

func (m *metrics) sent(k kind, bytes int) {
	m.responses.WithLabelValues(k.String()).Inc()
	m.bytes.WithLabelValues(k.String()).Add(float64(bytes))
}

func (m *metrics) answered(out outcome) {
	if a := out.ack; a != nil {
		m.answers.WithLabelValues(a.kind.String(), "ack").Inc()
		if a.applied {
			m.taken.WithLabelValues(a.kind.String()).Observe(a.took.Seconds())
		}
	}
	if out.nack != nil {
		m.answers.WithLabelValues(out.interest.kind.String(), "nack").Inc()
	}
}

// present counts the resources of a table when it is asked to.
type present struct{ table *table }

var presentDesc = prometheus.NewDesc("heddle_xds_resources", "Resources that the server holds, by type.", []string{"type"}, nil)

var quarantinedDesc = prometheus.NewDesc("heddle_xds_quarantined", "Versions that a proxy refused and that nobody is sent, by type.", []string{"type"}, nil)

// Describe implements [prometheus.Collector].
func (p present) Describe(out chan<- *prometheus.Desc) { out <- presentDesc; out <- quarantinedDesc }

// Collect implements [prometheus.Collector].
func (p present) Collect(out chan<- prometheus.Metric) {
	p.table.mu.RLock()
	counts := p.table.present
	var quarantined [kindCount]int
	for e := range p.table.refused {
		if e.current != nil {
			quarantined[e.kind]++
		}
	}
	p.table.mu.RUnlock()
	for k, count := range counts {
		out <- prometheus.MustNewConstMetric(presentDesc, prometheus.GaugeValue, float64(count), kind(k).String())
		if kind(k).facts().tried {
			out <- prometheus.MustNewConstMetric(quarantinedDesc, prometheus.GaugeValue, float64(quarantined[k]), kind(k).String())
		}
	}
}
