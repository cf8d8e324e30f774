package xds

import (
	"slices"
	"strings"
	"time"
)

// warming are the clusters of one response that may not take traffic yet: what
// sends traffic to them is held back (xDS protocol, "Eventual consistency
// considerations": make before break).
type warming struct {
	nonce    uint64    // of the response
	until    time.Time // no longer than this is anything held back for them
	acked    bool
	clusters []warmingCluster // by name
	left     int              // how many of them still await endpoints
}

type warmingCluster struct {
	id        name          // noName: it was replaced or removed meanwhile
	endpoints name          // the EDS resource that must follow; noName: none is awaited
	settle    time.Duration // how long it takes once it was acknowledged
}

// settling is a cluster that only time is awaited for.
type settling struct {
	id    name
	until time.Time
}

// warm notes the clusters of a response that was just composed. The endpoints
// of each are sent again behind it, also when they did not change: Envoy takes
// a changed cluster into use only after a new EDS response (xDS protocol,
// "Resource warming"). That their version covers the cluster's (see cover.go)
// is not enough here: a cluster that changes and changes back before they could
// be sent gives them the version that the client has.
func (s *session) warm(now time.Time, d *draft, v view) {
	if len(d.changed) == 0 {
		return
	}
	for _, one := range d.changed {
		s.cool(one.id)
	}
	eds := s.subs[kindEndpoint]
	w := &warming{nonce: s.nonce, until: now.Add(s.patience), clusters: make([]warmingCluster, 0, len(d.changed))}
	for _, one := range d.changed {
		cluster := v.lookup(kindCluster, one.id)
		ghost := cluster == nil
		if ghost {
			cluster = s.subs[kindCluster].ghosts[one.id] // it has left, and may come back
		}
		if one.version == 0 || cluster == nil {
			continue
		}
		c := warmingCluster{id: one.id, endpoints: cluster.endpoints, settle: cluster.Settle}
		if c.endpoints != noName {
			if eds != nil && eds.covers(c.endpoints) && !eds.refuses(c.endpoints, v) {
				eds.want(c.endpoints, true, now, false)
			}
			if !s.delta && !ghost && v.lookup(kindEndpoint, c.endpoints) == nil {
				c.endpoints = noName // nothing can be sent that says so
			} else {
				w.left++
			}
		}
		w.clusters = append(w.clusters, c)
	}
	if len(w.clusters) > 0 {
		s.warming = append(s.warming, w)
	}
}

// cool ends the wait for a cluster: another version of it is on its way, or it
// is gone.
func (s *session) cool(cluster name) {
	for _, w := range s.warming {
		for i := range w.clusters {
			if c := &w.clusters[i]; c.id == cluster {
				if c.endpoints != noName {
					w.left--
				}
				*c = warmingCluster{}
			}
		}
	}
	s.settling = slices.DeleteFunc(s.settling, func(one settling) bool { return one.id == cluster })
}

// clustersReadyAt says when at the latest every cluster that the stream was
// sent may take traffic; zero: now. One that left the scope is not waited for:
// nothing that is due needs it.
func (s *session) clustersReadyAt(now time.Time, v view) time.Time {
	var latest time.Time
	s.warming = slices.DeleteFunc(s.warming, func(w *warming) bool {
		if !now.Before(w.until) {
			s.giveUp(w)
			return true
		}
		if w.until.After(latest) && w.waits(v) {
			latest = w.until
		}
		return false
	})
	s.settling = slices.DeleteFunc(s.settling, func(one settling) bool { return !now.Before(one.until) })
	for _, one := range s.settling {
		if one.until.After(latest) && v.lookup(kindCluster, one.id) != nil {
			latest = one.until
		}
	}
	return latest
}

// waits says whether any of the clusters that may not take traffic yet is still
// in the scope.
func (w *warming) waits(v view) bool {
	for _, c := range w.clusters {
		if c.id != noName && (!w.acked || c.endpoints != noName) && v.lookup(kindCluster, c.id) != nil {
			return true
		}
	}
	return false
}

// warmed takes in an acknowledgement: of clusters, or of endpoints that came
// after their cluster.
func (s *session) warmed(now time.Time, k kind, f flight) {
	switch {
	case len(s.warming) == 0:
		return
	case k == kindCluster:
		for _, w := range s.warming {
			if !w.acked && (w.nonce == f.nonce || !s.delta && w.nonce < f.nonce) {
				w.acked = true
				s.settle(now, w)
			}
		}
	case k == kindEndpoint:
		for _, w := range s.warming {
			if w.nonce < f.nonce {
				w.arrived(f.items)
			}
		}
	default:
		return
	}
	s.warming = slices.DeleteFunc(s.warming, func(w *warming) bool { return w.acked && w.left == 0 })
	if len(s.warming) == 0 {
		s.warming = nil
	}
}

// settle starts the time of the clusters of a response that need some.
func (s *session) settle(now time.Time, w *warming) {
	for _, c := range w.clusters {
		if c.id != noName && c.settle > 0 {
			s.settling = append(s.settling, settling{id: c.id, until: now.Add(c.settle)})
		}
	}
}

// arrived takes in endpoints that came after their clusters, in order of name.
func (w *warming) arrived(endpoints []sentItem) {
	next := 0 // the clusters are in the same order, as they mostly have the names of their endpoints
	for i := range w.clusters {
		c := &w.clusters[i]
		if c.endpoints == noName {
			continue
		}
		if next == len(endpoints) || endpoints[next].id != c.endpoints {
			at, found := slices.BinarySearchFunc(endpoints, c.endpoints, func(one sentItem, id name) int {
				return strings.Compare(one.id.Value(), id.Value())
			})
			if !found {
				continue
			}
			next = at
		}
		c.endpoints = noName
		w.left--
		next++
	}
}

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
