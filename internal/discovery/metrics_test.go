package discovery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestASourceThatWasNeverListedAgesFromItsFirstRefresh: an alert is on how long ago a source
// was listed as a whole, and cannot be on what is not there.
func TestASourceThatWasNeverListedAgesFromItsFirstRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		c := &cloud{began: time.Now(), fails: errors.New("the secret is wrong")}
		r := NewRefresher(Config{Source: Source{Name: "azure", Lister: c}, Shelf: &memoryShelf{}, Metrics: NewMetrics(registry)})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		time.Sleep(time.Hour)
		if age := time.Since(lastSuccess(t, registry)); age < time.Hour-time.Second || time.Since(began)-age > time.Second {
			t.Errorf("a source that has failed for an hour is %s old", age)
		}
		c.has(nil)
		time.Sleep(10 * time.Minute)
		if age := time.Since(lastSuccess(t, registry)); age > 5*time.Minute {
			t.Errorf("a source that was listed again is %s old", age)
		}
	})
}

func lastSuccess(t *testing.T, from prometheus.Gatherer) time.Time {
	t.Helper()
	all, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.GetName() == "heddle_discovery_last_success_timestamp_seconds" {
			return time.Unix(int64(one.GetMetric()[0].GetGauge().GetValue()), 0)
		}
	}
	t.Fatal("there is no time of a last success")
	return time.Time{}
}
