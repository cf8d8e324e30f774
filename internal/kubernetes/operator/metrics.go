package operator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	librarymetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Metrics are what operators watch of the operator itself.
type Metrics struct {
	sets    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	running *prometheus.GaugeVec
	refused *prometheus.GaugeVec
	reached *prometheus.GaugeVec
}

// NewMetrics makes the metrics of an operator that joins the clusters.
func NewMetrics(r prometheus.Registerer, clusters ...string) *Metrics {
	m := &Metrics{
		sets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_operator_instance_sets_total", Help: "Sets of instances sent to the registry, by cluster and by how it answered (ok, or the kind of refusal).",
		}, []string{"cluster", "answer"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heddle_operator_instance_set_seconds", Help: "How long the registry took for a set of instances, by cluster.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .5, 1, 5},
		}, []string{"cluster"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "heddle_operator_leading", Help: "1 while this replica writes what the cluster has, 0 while another does or none can.",
		}, []string{"cluster"}),
		refused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "heddle_operator_name_taken", Help: "1 while nothing is written for the cluster because its name in the mesh is another cluster's, or it has another name there.",
		}, []string{"cluster"}),
		reached: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "heddle_operator_cluster_connected", Help: "1 while the cluster's API server answers, 0 while it is away and what the registry has of the cluster stays as it is.",
		}, []string{"cluster"}),
	}
	r.MustRegister(m.sets, m.seconds, m.running, m.refused, m.reached)
	for _, one := range clusters {
		m.leads(one, false)
		m.taken(one, false)
		m.connected(one, false)
		m.sets.WithLabelValues(one, "ok")
		m.seconds.WithLabelValues(one)
	}
	return m
}

func (m *Metrics) sent(cluster string, took time.Duration, err error) {
	answer := "ok"
	if err != nil {
		answer = string(mesh.KindOf(err))
		if answer == "" {
			answer = "error"
		}
	}
	m.sets.WithLabelValues(cluster, answer).Inc()
	m.seconds.WithLabelValues(cluster).Observe(took.Seconds())
}

func (m *Metrics) leads(cluster string, is bool) { set(m.running, cluster, is) }

func (m *Metrics) taken(cluster string, is bool) { set(m.refused, cluster, is) }

func (m *Metrics) connected(cluster string, is bool) { set(m.reached, cluster, is) }

func set(gauge *prometheus.GaugeVec, cluster string, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	gauge.WithLabelValues(cluster).Set(value)
}

// LibraryMetrics are those of controller-runtime, which has one registry for a process.
func LibraryMetrics() prometheus.Gatherer { return librarymetrics.Registry }
