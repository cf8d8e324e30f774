package accesslog

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct{ entries, ignored, refused prometheus.Counter }

func newMetrics(r prometheus.Registerer, t *Table, streams *atomic.Int64) metrics {
	m := metrics{
		entries: prometheus.NewCounter(prometheus.CounterOpts{Name: "heddle_accesslog_entries_total", Help: "Calls that proxies reported to this server."}),
		ignored: prometheus.NewCounter(prometheus.CounterOpts{Name: "heddle_accesslog_ignored_total", Help: "Of those, the ones that are no call of anybody known, such as a stranger's request that no route of a gateway is for."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "heddle_accesslog_refused_streams_total", Help: "Streams of reports that were refused: who opened them may not report as whom it claims to be, or there are too many."}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.entries, m.ignored, m.refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "heddle_accesslog_streams", Help: "Streams on which proxies report now; each worker of an Envoy has its own."}, func() float64 { return float64(streams.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "heddle_accesslog_edges", Help: "Pairs of a reporter and its peer that this server counts in memory."}, func() float64 { return float64(t.rows.Load()) }),
	)
	return m
}
