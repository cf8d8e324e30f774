package xds

import (
	"maps"
	"slices"
)

// The canary of a trial is one proxy of its scope: a stream of the aggregated
// service, or all the streams of one node on the separate ones.

// sameProxy says whether two streams are of one proxy: it has several on the
// separate services.
func (b *mailbox) sameProxy(other *mailbox) bool {
	return b == other || !b.aggregated && !other.aggregated && b.node == other.node
}

func (s *scope) canary() *mailbox {
	if s.trial == nil {
		return nil
	}
	return s.trial.canary
}

// sees says whether a stream is shown what is on trial.
func (s *scope) sees(box *mailbox) bool {
	c := s.canary()
	return c != nil && box != nil && c.sameProxy(box)
}

// asksAny says whether any stream of a proxy asked for an entry.
func (s *scope) asksAny(proxy *mailbox, e *entry) bool {
	if proxy.aggregated {
		return e.asks(proxy)
	}
	for box := range s.boxes {
		if proxy.sameProxy(box) && e.asks(box) {
			return true
		}
	}
	return false
}

// choose gives the proxy that tries what changed: one that is at rest, that asked
// for most of it, and that has been there longest. Nil: nobody asked for any.
func (s *scope) choose(doubtful []*entry) (best *mailbox) {
	separate := s.askedSeparately(doubtful)
	most := 0
	for box := range s.boxes {
		n := separate[box.node]
		if box.aggregated {
			n = 0
			for _, e := range doubtful {
				n += count(e.asks(box))
			}
		}
		if n > 0 && (best == nil || box.better(best, n-most)) {
			best, most = box, n
		}
	}
	return best
}

// askedSeparately counts for each proxy on the separate services, by its node,
// the entries that any of its streams asked for. It looks at each stream once for
// an entry: the table stands still meanwhile.
func (s *scope) askedSeparately(entries []*entry) map[string]int {
	asked, counted := map[string]int{}, map[string]*entry{}
	for _, e := range entries {
		for box := range s.boxes {
			if !box.aggregated && e.asks(box) && counted[box.node] != e {
				counted[box.node] = e
				asked[box.node]++
			}
		}
	}
	return asked
}

func (b *mailbox) better(other *mailbox, more int) bool {
	if busy := b.behind.Load(); busy != other.behind.Load() {
		return !busy
	}
	return more > 0 || more == 0 && b.number < other.number
}

// tellCanary marks one entry for the canary of a scope.
func (t *table) tellCanary(s *scope, e *entry, gone *Resource, tn *turn) {
	for box := range s.boxes {
		if s.sees(box) && e.asks(box) {
			tn.mark(box, e, gone)
		}
	}
}

// show tells a canary to look at all that is on trial.
func (t *table) show(s *scope, tn *turn) {
	for e, before := range s.trial.held {
		t.tellCanary(s, e, nil, tn)
		t.tellEndpoints(s, before, tn)
		t.tellEndpoints(s, e.current, tn)
	}
	for e, needed := range s.leaving {
		if !needed {
			t.tellCanary(s, e, tn.before(s, e), tn)
		}
	}
}

// succeed chooses another canary when the stream of the first has ended.
func (t *table) succeed(s *scope, tn *turn) {
	tr, first := s.trial, s.trial.canary
	for box := range s.boxes {
		if box.sameProxy(first) {
			tr.canary = box // another stream of the same
			return
		}
	}
	open := slices.Collect(maps.Keys(tr.open))
	next := s.choose(open)
	if next == nil {
		for _, e := range open {
			tr.forget(e, tn)
		}
		return
	}
	tr.canary = next
	t.show(s, tn)
}
