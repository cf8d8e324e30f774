package xds

import "time"

// warming is a cluster that the stream was sent and that may not take traffic
// yet: what sends traffic to it is held back (xDS protocol, "Eventual
// consistency considerations": make before break).
type warming struct {
	nonce     uint64    // of the response that carried it
	until     time.Time // no longer than this is anything held back for it
	acked     bool
	endpoints name // the EDS resource that must follow; zero: none is awaited
	settle    time.Duration
}

// warm notes the clusters of a response that was just composed. The endpoints
// of each are sent again behind it, also when they did not change: Envoy takes
// a changed cluster into use only after a new EDS response (xDS protocol,
// "Resource warming"). That their version covers the cluster's (see cover.go)
// is not enough here: a cluster that changes and changes back before they could
// be sent gives them the version that the client has.
func (s *session) warm(now time.Time, d *draft, v view) {
	eds := s.subs[kindEndpoint]
	if len(s.warming) == 0 {
		s.warming = make(map[name]*warming, len(d.changed))
	}
	all := make([]warming, len(d.changed))
	for i, one := range d.changed {
		if one.version == 0 {
			delete(s.warming, one.id)
			continue
		}
		cluster := v.lookup(kindCluster, one.id)
		if cluster == nil {
			continue
		}
		w := &all[i]
		*w = warming{nonce: s.nonce, until: now.Add(s.patience), endpoints: cluster.endpoints, settle: cluster.Settle}
		s.warming[one.id] = w
		if w.endpoints == noName {
			continue
		}
		s.oweEndpoints(w.endpoints)
		if eds != nil && eds.covers(w.endpoints) && !eds.refuses(w.endpoints, v) {
			eds.want(w.endpoints, true, now, false)
		}
		if !s.delta && v.lookup(kindEndpoint, w.endpoints) == nil {
			w.endpoints = noName // nothing can be sent that says so
		}
	}
}

// clustersReadyAt says when at the latest every cluster that the stream was
// sent may take traffic; zero: now. One that left the scope is not waited for:
// nothing that is due needs it.
func (s *session) clustersReadyAt(now time.Time, v view) time.Time {
	var latest time.Time
	for id, w := range s.warming {
		if !now.Before(w.until) {
			delete(s.warming, id)
			continue
		}
		if v.lookup(kindCluster, id) != nil && w.until.After(latest) {
			latest = w.until
		}
	}
	return latest
}

// warmed takes in an acknowledgement: of clusters, or of endpoints that came
// after their cluster.
func (s *session) warmed(now time.Time, k kind, f flight) {
	if len(s.warming) == 0 || k != kindCluster && k != kindEndpoint {
		return
	}
	var arrived map[name]struct{}
	if k == kindEndpoint {
		arrived = make(map[name]struct{}, len(f.items))
		for _, one := range f.items {
			arrived[one.id] = struct{}{}
		}
	}
	for id, w := range s.warming {
		switch {
		case w.settled():
			continue // only time is awaited
		case k == kindCluster && w.nonce <= f.nonce && (!s.delta || w.nonce == f.nonce):
			w.acked = true
		case k == kindEndpoint && w.nonce < f.nonce:
			if _, ok := arrived[w.endpoints]; !ok {
				continue
			}
			w.endpoints = noName
		default:
			continue
		}
		if !w.settled() {
			continue
		}
		if w.settle == 0 {
			delete(s.warming, id)
			continue
		}
		w.until = now.Add(w.settle)
	}
	if len(s.warming) == 0 {
		s.warming = map[name]*warming{} // a map keeps the room that it once took
	}
}

func (w *warming) settled() bool { return w.acked && w.endpoints == noName }

// keepRemoved says whether what left the scope is still kept at the client,
// because something that used it is not yet replaced there.
func (s *session) keepRemoved(now time.Time, sub *subscription) (keep bool, look time.Time) {
	if !s.aggregated {
		return false, time.Time{}
	}
	if now.Before(sub.keepUntil) {
		keep, look = true, sub.keepUntil
	}
	for _, user := range sub.kind.facts().usedBy {
		if ok, until := s.subs[user].settled(now, s.patience); !ok {
			keep, look = true, sooner(look, until)
		}
	}
	return keep, look
}
