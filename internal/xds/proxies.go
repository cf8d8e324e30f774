package xds

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// proxies counts the connected proxies, and those of them that lack something,
// when it is asked to. A proxy counts once, however many streams it has.
type proxies struct{ server *Server }

var (
	connectedDesc = prometheus.NewDesc("heddle_xds_proxies", "Proxies that are connected, by node id.", nil, nil)
	behindDesc    = prometheus.NewDesc("heddle_xds_proxies_behind", "Proxies that lack something that changed, were sent it or not.", nil, nil)
	oldestDesc    = prometheus.NewDesc("heddle_xds_proxies_behind_oldest_seconds", "For how long the proxy that is behind the longest has been; 0: none is behind.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (proxies) Describe(out chan<- *prometheus.Desc) {
	out <- connectedDesc
	out <- behindDesc
	out <- oldestDesc
}

// Collect implements [prometheus.Collector].
func (p proxies) Collect(out chan<- prometheus.Metric) {
	s := p.server
	s.mu.Lock()
	streams := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.Unlock()
	connected, behind := map[string]struct{}{}, map[string]struct{}{}
	var oldest time.Time
	for _, st := range streams {
		node, since := st.behindSince()
		if node == "" {
			continue // it has not said yet who it is
		}
		connected[node] = struct{}{}
		if !since.IsZero() {
			behind[node] = struct{}{}
			oldest = sooner(oldest, since)
		}
	}
	age := 0.0
	if !oldest.IsZero() {
		age = max(0, s.now().Sub(oldest).Seconds())
	}
	out <- prometheus.MustNewConstMetric(connectedDesc, prometheus.GaugeValue, float64(len(connected)))
	out <- prometheus.MustNewConstMetric(behindDesc, prometheus.GaugeValue, float64(len(behind)))
	out <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, age)
}

// behindSince says whose stream it is, and since when its client lacks something;
// zero: it has everything.
func (st *stream) behindSince() (node string, since time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, sub := range st.session.subs {
		if sub != nil {
			since = sooner(since, sub.behindSince())
		}
	}
	return st.nodeID, since
}
