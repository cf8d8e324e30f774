package xds

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// On the aggregated stream the version of endpoints covers the clusters that
// use them: Envoy takes a changed cluster into use only after an EDS response
// that comes behind it (xDS protocol, "Resource warming"). A client that took
// the cluster and lost its stream before the endpoints comes back with a
// version from before the cluster's change, and is sent them; one that has both
// is sent nothing. As a hash of contents it is the same on every replica.

// covering is one version of endpoints, encoded for clusters in certain versions.
type covering struct {
	base     *Resource
	clusters version // the sum of the clusters' versions
	encoded  *Resource
}

// use notes which endpoints a cluster that goes from one version to the next
// waits for. Nil is no version.
func (t *table) use(cluster *entry, before, after *Resource) {
	old, now := before.awaits(), after.awaits()
	if old == now {
		return
	}
	if old != noName {
		e := t.entries[kindEndpoint][old]
		for i, user := range e.users {
			if user == cluster {
				e.users = append(e.users[:i:i], e.users[i+1:]...)
				break
			}
		}
		t.dropEntry(e)
	}
	if now != noName {
		e := t.entry(kindEndpoint, now)
		e.users = append(e.users[:len(e.users):len(e.users)], cluster)
	}
}

// tellEndpoints marks for one scope's streams the endpoints that a cluster uses
// which came into the scope or left it.
func (t *table) tellEndpoints(s *scope, cluster *Resource, tn *turn) {
	for _, id := range endpointsOf(cluster) {
		if e := s.members[kindEndpoint][id]; e != nil {
			t.tell(s, e, tn)
		}
	}
}

// endpointsOf names the endpoints that clusters wait for, each once.
func endpointsOf(clusters ...*Resource) []name {
	var names []name
	for _, r := range clusters {
		if id := r.awaits(); id != noName && !slices.Contains(names, id) {
			names = append(names, id)
		}
	}
	return names
}

// awaits names the endpoints that have to follow a cluster, if r is one.
func (r *Resource) awaits() name {
	if r == nil {
		return noName
	}
	return r.endpoints
}

// lookup gives the resource that this stream is sent under a name, or nil: that
// of the scope, and endpoints in the version that covers what the stream was
// sent of their clusters.
func (s *session) lookup(k kind, id name, v view) *Resource {
	return s.shown(v.scope.members[k][id], v)
}

// lookupAt is lookup for a name whose place is known.
func (s *session) lookupAt(sub *subscription, p pending, v view) *Resource {
	if all := sub.items.roster; p.at >= 0 && all == v.scope.rosters[sub.kind].Load() {
		return s.shown(all.entries[p.at], v)
	}
	return s.lookup(sub.kind, p.id, v)
}

func (s *session) shown(e *entry, v view) *Resource {
	if e == nil {
		return nil
	}
	r := v.shown(e)
	if r == nil || e.kind != kindEndpoint || !s.aggregated {
		return r
	}
	var sum version
	for _, user := range e.users {
		sum += s.clusterVersion(user, v)
	}
	return e.cover(r, sum)
}

// clusterVersion is that of a cluster which the stream holds, or would hold if it
// asked for it; 0 if there is none.
func (s *session) clusterVersion(e *entry, v view) version {
	sub := s.subs[kindCluster]
	var p pending
	if sub == nil {
		p = pending{e.id, -1}
	} else {
		p = sub.items.find(e.id)
	}
	if p.at < 0 || v.scope.rosters[kindCluster].Load() != sub.items.roster {
		if _, mine := v.scope.members[kindCluster][e.id]; !mine {
			return 0
		}
	}
	cluster := v.shown(e)
	if cluster == nil {
		return 0
	}
	if sub != nil {
		if it := sub.items.of(p); sub.wildcard || it.explicit() {
			return it.version() // a newer one is still to be sent, and its endpoints behind it
		}
	}
	return cluster.version
}

// cover gives endpoints in the version that covers clusters. The last one is
// kept, as every stream of a scope asks for the same: it is encoded once. Any
// number of streams may ask at a time.
func (e *entry) cover(r *Resource, clusters version) *Resource {
	if clusters == 0 {
		return r
	}
	if c := e.covering.Load(); c != nil && c.base == r && c.clusters == clusters {
		return c.encoded
	}
	encoded := r.covering(clusters)
	e.covering.Store(&covering{base: r, clusters: clusters, encoded: encoded})
	return encoded
}

// covering encodes the same content in the version that covers clusters.
func (r *Resource) covering(clusters version) *Resource {
	var both [16]byte
	binary.BigEndian.PutUint64(both[:8], uint64(r.version))
	binary.BigEndian.PutUint64(both[8:], uint64(clusters))
	hash := sha256.Sum256(both[:])
	c := *r
	c.version = versionOf(hash[:])
	c.Version = c.version.String()
	c.wire, c.sotwAt = encodeResource(r.Type, r.Name, c.Version, r.body())
	return &c
}

// recheckEndpoints is called when clusters are not asked for any more: what the
// client holds of them counts no longer, so endpoints may be in another version.
func (s *session) recheckEndpoints(now time.Time) {
	eds := s.subs[kindEndpoint]
	if eds == nil || !s.aggregated {
		return
	}
	for id, it := range eds.items.all() {
		if it.held() {
			eds.want(id, false, now, false)
		}
	}
}
