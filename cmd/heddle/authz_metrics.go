package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/catalog"
)

// keyMetrics say which key signs, and who gives tokens.
type keyMetrics struct {
	keyring                  *authz.Keyring
	catalog                  *catalog.Catalog
	signing, next, announced *prometheus.Desc
}

func newKeyMetrics(keyring *authz.Keyring, known *catalog.Catalog) *keyMetrics {
	return &keyMetrics{
		keyring: keyring, catalog: known,
		signing:   prometheus.NewDesc("heddle_authz_signing_key", "1 for the key (kid) that signs; missing while there is none, so that no tokens are given.", []string{"kid"}, nil),
		next:      prometheus.NewDesc("heddle_authz_next_key_timestamp_seconds", "When the next key begins to sign, in seconds since 1970; 0 while it has not been made.", nil, nil),
		announced: prometheus.NewDesc("heddle_authz_announced", "AuthZ services that are announced to sidecars.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (m *keyMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.signing
	to <- m.next
	to <- m.announced
}

// Collect implements [prometheus.Collector].
func (m *keyMetrics) Collect(to chan<- prometheus.Metric) {
	id, next := m.keyring.Signing()
	if id != "" {
		to <- prometheus.MustNewConstMetric(m.signing, prometheus.GaugeValue, 1, id)
	}
	begins := 0.0
	if !next.IsZero() {
		begins = float64(next.Unix())
	}
	to <- prometheus.MustNewConstMetric(m.next, prometheus.GaugeValue, begins)
	announced := 0
	for _, a := range m.catalog.View().Authorizers() {
		if !a.Stale {
			announced++
		}
	}
	to <- prometheus.MustNewConstMetric(m.announced, prometheus.GaugeValue, float64(announced))
}
