package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// meshMetrics are what a program knows of the mesh, and of following etcd.
type meshMetrics struct {
	catalog  *catalog.Catalog
	revision prometheus.Gauge
	missed   prometheus.Counter
	up       prometheus.Gauge
	lag      prometheus.Histogram
}

func newMeshMetrics(r prometheus.Registerer, known *catalog.Catalog, store *registry.Store) meshMetrics {
	m := meshMetrics{
		catalog:  known,
		revision: prometheus.NewGauge(prometheus.GaugeOpts{Name: "heddle_registry_revision", Help: "etcd's revision up to which this program knows the mesh."}),
		missed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "heddle_registry_missed_total", Help: "Objects whose change the watch of etcd had missed, found by comparing with full lists every 5 minutes."}),
		up:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "heddle_registry_followed", Help: "1 while etcd is followed, 0 while it is away and what is known stays in force."}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heddle_registry_watch_lag_seconds", Help: "Time from a write, as the server that wrote dated it, until etcd's watch delivered it here.",
			Buckets: prometheus.ExponentialBuckets(1e-3, 2.5, 12),
		}),
	}
	r.MustRegister(m.revision, m.missed, m.up, m.lag, &meshSizes{catalog: known, store: store})
	return m
}

func (m meshMetrics) diverged(objects int) { m.missed.Add(float64(objects)) }

func (m meshMetrics) down(err error) {
	if err != nil {
		m.up.Set(0)
		return
	}
	m.up.Set(1)
}

// received takes note of what the watch brought, before the catalog does. What is
// read for the first time was written at any time, and says nothing of the watch.
func (m meshMetrics) received(b registry.Batch) {
	m.revision.Set(float64(b.Revision))
	now := time.Now()
	if at := catalog.Written(b.Changes, now); !at.IsZero() && m.catalog.View().Synced() {
		m.lag.Observe(now.Sub(at).Seconds())
	}
}

// meshSizes counts what the mesh holds when it is asked to.
type meshSizes struct {
	catalog *catalog.Catalog
	store   *registry.Store
}

var (
	servicesDesc  = prometheus.NewDesc("heddle_catalog_services", "Services that are declared.", nil, nil)
	instancesDesc = prometheus.NewDesc("heddle_catalog_instances", "Registered instances, by state: live, or stale (their leases ended with those of most others of their service, and they are kept until they are confirmed gone).", []string{"state"}, nil)
	routesDesc    = prometheus.NewDesc("heddle_catalog_routes", "Routes of gateways.", nil, nil)
	unreadDesc    = prometheus.NewDesc("heddle_registry_unreadable", "Values in etcd that cannot be read and are set aside.", nil, nil)
	auditDesc     = prometheus.NewDesc("heddle_audit_entries_total", "Entries of the audit that this program wrote, by outcome (done, refused).", []string{"outcome"}, nil)
)

// Describe implements [prometheus.Collector].
func (*meshSizes) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{servicesDesc, instancesDesc, routesDesc, unreadDesc, auditDesc} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *meshSizes) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	view := m.catalog.View()
	live, stale, unreadable := 0, 0, 0
	for one := range view.AllInstances() {
		if one.Stale {
			stale++
		} else {
			live++
		}
	}
	for _, q := range m.store.Quarantined() {
		if !q.InUse {
			unreadable++
		}
	}
	gauge(servicesDesc, view.ServiceCount())
	gauge(instancesDesc, live, "live")
	gauge(instancesDesc, stale, "stale")
	gauge(routesDesc, len(view.Routes()))
	gauge(unreadDesc, unreadable)
	done, refused := m.store.Audited()
	to <- prometheus.MustNewConstMetric(auditDesc, prometheus.CounterValue, float64(done), "done")
	to <- prometheus.MustNewConstMetric(auditDesc, prometheus.CounterValue, float64(refused), "refused")
}
