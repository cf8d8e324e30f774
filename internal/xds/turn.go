package xds

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// turn is one event that the table takes in under its lock: an update, an
// answer, a stream that comes or goes. Streams see all that it does or nothing.
//
// Its maps are made when something is put into them: most answers put in nothing.
type turn struct {
	now     time.Time
	touched map[*mailbox]struct{} // the streams to wake
	// changed holds what the proxies of a scope were shown before, where that
	// changes and may have to be tried.
	changed  map[*scope]map[*entry]*Resource
	pardon   bool                // the runtime changed
	mended   []*entry            // what was kept back and has a newer version
	departed []departure         // what left scopes: others may have waited for it
	due      map[*scope]struct{} // those of them that are still to be looked at
	// look are the scopes whose trials may have come to an end.
	look map[*scope]struct{}
	// shared says of entries whether several scopes with proxies hold them. It is
	// asked for each scope, of which there may be thousands.
	shared map[*entry]bool
}

// begin takes the table's lock.
func (t *table) begin(now time.Time) *turn {
	t.mu.Lock()
	return &turn{now: now}
}

// end puts what changed on trial or tells it to all, lets go of the lock, and
// wakes the streams.
func (t *table) end(tn *turn) {
	if tn.pardon {
		t.pardon(tn)
	}
	for _, e := range tn.mended {
		if e.doubt == nil || e.doubt.refused == nil {
			t.free(e, tn)
		}
	}
	for len(tn.departed)+len(tn.due)+len(tn.look) > 0 {
		for _, one := range tn.departed {
			t.unblock(one, tn)
		}
		tn.departed = nil
		due := tn.inOrder(tn.due)
		clear(tn.due)
		for _, s := range due {
			t.try(s, tn.changed[s], tn)
		}
		look := tn.look
		tn.look = nil
		for _, s := range tn.inOrder(look) {
			t.conclude(s, tn)
		}
	}
	t.mu.Unlock()
	for box := range tn.touched {
		box.signal()
	}
}

// inOrder gives scopes in the order in which they may try what they share: first
// those that have a canary, last those that have no proxy at rest, and of others
// those with the most changes first.
func (tn *turn) inOrder(scopes map[*scope]struct{}) []*scope {
	type place struct {
		scope         *scope
		rank, changes int
	}
	places, all := make([]place, 0, len(scopes)), make([]*scope, 0, len(scopes))
	for s := range scopes {
		p := place{scope: s, changes: len(tn.changed[s])}
		switch {
		case s.canary() != nil:
		case s.atRest():
			p.rank = 1
		default:
			p.rank = 2
		}
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(a.rank-b.rank, b.changes-a.changes, strings.Compare(a.scope.name, b.scope.name))
	})
	for _, p := range places {
		all = append(all, p.scope)
	}
	return all
}

// atRest says whether a scope has a stream whose client owes no answer.
func (s *scope) atRest() bool {
	for box := range s.boxes {
		if !box.behind.Load() {
			return true
		}
	}
	return false
}

// isShared says whether several scopes with proxies hold an entry. It is used at
// the end of a turn, when all that hold it do so.
func (tn *turn) isShared(e *entry) bool {
	shared, known := tn.shared[e]
	if known {
		return shared
	}
	inUse := 0
	for _, s := range e.holders {
		if len(s.boxes) > 0 {
			inUse++
		}
		if inUse > 1 {
			break
		}
	}
	if tn.shared == nil {
		tn.shared = map[*entry]bool{}
	}
	tn.shared[e] = inUse > 1
	return inUse > 1
}

func (tn *turn) mark(box *mailbox, e *entry, gone *Resource) {
	tn.markSince(box, e, gone, tn.now)
}

// markSince is mark for what changed earlier.
func (tn *turn) markSince(box *mailbox, e *entry, gone *Resource, since time.Time) {
	if tn.touched == nil {
		tn.touched = map[*mailbox]struct{}{}
	}
	tn.touched[box] = struct{}{}
	box.mark(e.kind, e.id, gone, since)
}

// lookAt looks at the trial of a scope when the turn ends.
func (tn *turn) lookAt(s *scope) {
	if tn.look == nil {
		tn.look = map[*scope]struct{}{}
	}
	tn.look[s] = struct{}{}
}

// visit looks at the trials of the scopes that hold an entry when the turn ends.
func (tn *turn) visit(e *entry) {
	for _, s := range e.holders {
		if s.trial != nil || len(s.leaving) > 0 {
			tn.lookAt(s)
		}
	}
}

// before is what the proxies of a scope but the canary were shown of an entry
// when the turn began.
func (tn *turn) before(s *scope, e *entry) *Resource {
	if r, ok := tn.changed[s][e]; ok {
		return r
	}
	return view{scope: s}.shown(e)
}

// alter is called before an entry changes, or its doubt.
func (t *table) alter(e *entry, tn *turn) {
	for _, s := range e.holders {
		t.alterIn(s, e, view{scope: s}.shown(e), tn)
	}
}

// alterIn tells a scope's streams to look at an entry that changes, or notes what
// they were shown before, if it may have to be tried.
func (t *table) alterIn(s *scope, e *entry, before *Resource, tn *turn) {
	switch {
	case len(s.boxes) == 0:
	case t.wait <= 0 || !e.kind.facts().tried && !e.kind.facts().needsClusters:
		t.tell(s, e, tn)
		t.tellEndpoints(s, before, tn)
		t.tellEndpoints(s, e.current, tn)
	default:
		if tn.due == nil {
			tn.changed, tn.due = map[*scope]map[*entry]*Resource{}, map[*scope]struct{}{}
		}
		if tn.changed[s] == nil {
			tn.changed[s] = map[*entry]*Resource{}
		}
		if _, noted := tn.changed[s][e]; !noted {
			tn.changed[s][e] = before
		}
		tn.due[s] = struct{}{}
	}
}
