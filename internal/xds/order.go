package xds

import (
	"iter"
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
	clusters []*Resource // by name; shared with other streams that were sent the same
	over     bits        // those that were replaced or removed meanwhile
	warm     bits        // those that await no endpoints (any more)
	left     int         // how many of them still await endpoints
}

// awaits names the endpoints that the i-th cluster still awaits, or noName.
func (w *warming) awaits(i int) name {
	if w.over.has(i) || w.warm.has(i) {
		return noName
	}
	return w.clusters[i].endpoints
}

// awaited gives all endpoints that are awaited.
func (w *warming) awaited() iter.Seq[name] {
	return func(yield func(name) bool) {
		for i := range w.clusters {
			if id := w.awaits(i); id != noName && !yield(id) {
				return
			}
		}
	}
}

// find gives the place of a cluster, or -1.
func (w *warming) find(cluster name) int {
	i, found := slices.BinarySearchFunc(w.clusters, cluster, func(one *Resource, id name) int {
		return strings.Compare(one.Name, id.Value())
	})
	if !found {
		return -1
	}
	return i
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
//
// changed is what is new in the response, sent all that is in it: they are the
// same in delta.
func (s *session) warm(now time.Time, changed []sentItem, sent []*Resource, v view) {
	if len(s.warming) > 0 || len(s.settling) > 0 {
		for _, one := range changed {
			s.cool(one.id)
		}
	}
	w := &warming{nonce: s.nonce, until: now.Add(s.patience), clusters: sent}
	if !s.delta {
		w.clusters = s.newClusters(changed, v)
	}
	eds := s.subs[kindEndpoint]
	for i, cluster := range w.clusters {
		if cluster.endpoints == noName {
			continue
		}
		if eds != nil && eds.covers(cluster.endpoints) && !eds.refuses(cluster.endpoints, v) {
			eds.want(cluster.endpoints, true, now, false)
		}
		if ghost := v.lookup(kindCluster, cluster.id) == nil; !s.delta && !ghost && v.lookup(kindEndpoint, cluster.endpoints) == nil {
			w.warm.add(i) // nothing can be sent that says so
		} else {
			w.left++
		}
	}
	if len(w.clusters) > 0 {
		s.warming = append(s.warming, w)
	}
}

// newClusters gives the clusters that are new in a SotW response, by name: also
// those that have left the scope, and may come back.
func (s *session) newClusters(changed []sentItem, v view) (clusters []*Resource) {
	for _, one := range changed {
		cluster := v.lookup(kindCluster, one.id)
		if cluster == nil {
			cluster = s.subs[kindCluster].ghosts[one.id]
		}
		if one.version != 0 && cluster != nil {
			clusters = append(clusters, cluster)
		}
	}
	slices.SortFunc(clusters, func(a, b *Resource) int { return strings.Compare(a.Name, b.Name) })
	return clusters
}

// cool ends the wait for a cluster: another version of it is on its way, or it
// is gone.
func (s *session) cool(cluster name) {
	for _, w := range s.warming {
		if i := w.find(cluster); i >= 0 {
			if w.awaits(i) != noName {
				w.left--
			}
			w.over.add(i)
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
	for i, cluster := range w.clusters {
		if !w.over.has(i) && (!w.acked || w.awaits(i) != noName) && v.lookup(kindCluster, cluster.id) != nil {
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
	for i, cluster := range w.clusters {
		if !w.over.has(i) && cluster.Settle > 0 {
			s.settling = append(s.settling, settling{id: cluster.id, until: now.Add(cluster.Settle)})
		}
	}
}

// arrived takes in endpoints that came after their clusters, in order of name.
func (w *warming) arrived(endpoints []sentItem) {
	next := 0 // the clusters are in the same order, as they mostly have the names of their endpoints
	for i := range w.clusters {
		awaited := w.awaits(i)
		if awaited == noName {
			continue
		}
		if next == len(endpoints) || endpoints[next].id != awaited {
			at, found := slices.BinarySearchFunc(endpoints, awaited, func(one sentItem, id name) int {
				return strings.Compare(one.id.Value(), id.Value())
			})
			if !found {
				continue
			}
			next = at
		}
		w.warm.add(i)
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
