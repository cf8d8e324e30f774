package xds

import (
	"bytes"
	"time"
)

// trial is what changed in a scope for as long as it is shown to one of its
// proxies alone, the canary. The others are shown the scope as it was before, in
// one piece, so that none has a route without its cluster. It ends as a whole:
// with the last answer of the canary, or when it was waited for long enough.
// What changes meanwhile joins it.
type trial struct {
	canary *mailbox             // nil: what is waited for is tried in another scope
	held   map[*entry]*Resource // what the others are shown instead; nil: nothing
	open   map[*entry]struct{}  // what is waited for
	since  time.Time
	last   uint64 // the stream that came last before it
	timer  *time.Timer
}

// tries says whether a change is tried in a scope: whether there is another
// proxy that could have it first.
func (t *table) tries(s *scope) bool {
	if t.wait <= 0 {
		return false
	}
	var one *mailbox
	for box := range s.boxes {
		if one == nil {
			one = box
		} else if !one.sameProxy(box) {
			return true
		}
	}
	return false
}

// shows says what a stream that is not the canary's is shown of an entry that is
// on trial. One that came after the trial began is not made to wait for what was
// not there before: it can be in use nowhere, and the stream has nothing yet.
func (tr *trial) shows(box *mailbox, e *entry) (before *Resource, ok bool) {
	before, held := tr.held[e]
	return before, held && (before != nil || !tr.precedes(box))
}

// precedes says whether a stream came after a trial began.
func (tr *trial) precedes(box *mailbox) bool { return box != nil && box.number > tr.last }

// try puts on trial what changed in a scope, or tells it to all of its streams
// if there is nothing that a proxy could accept or refuse.
func (t *table) try(s *scope, changed map[*entry]*Resource, tn *turn) {
	tr, fresh := s.trial, s.trial == nil
	if fresh {
		tr = &trial{held: map[*entry]*Resource{}, open: map[*entry]struct{}{}, since: tn.now, last: t.joined}
	}
	var doubtful []*entry
	elsewhere := true
	for e, before := range changed {
		if s.members[e.kind][e.id] != e {
			delete(changed, e) // it has left
			continue
		}
		if _, already := tr.held[e]; !already {
			tr.held[e] = before
		}
		if tr.questions(s, e) {
			doubtful = append(doubtful, e)
			elsewhere = elsewhere && s.triedElsewhere(e)
		}
	}
	chosen := false
	if tr.canary == nil && !elsewhere {
		tr.canary = s.choose(doubtful)
		chosen = tr.canary != nil
	}
	if tr.canary != nil || elsewhere {
		tr.wait(s, doubtful)
	}
	if fresh && len(tr.open) == 0 {
		for e, before := range changed {
			t.tell(s, e, tn)
			t.tellEndpoints(s, before, tn)
			t.tellEndpoints(s, e.current, tn)
		}
		return
	}
	if fresh {
		s.trial = tr
		tr.timer = time.AfterFunc(t.wait, func() { t.expire(s, tr) })
	}
	tn.lookAt(s)
	if chosen {
		t.show(s, tn)
		return
	}
	for e, before := range changed {
		t.tellCanary(s, e, nil, tn)
		t.tellEndpoints(s, before, tn)
		t.tellEndpoints(s, e.current, tn)
	}
}

// questions says whether the newest version of an entry may be put to a canary.
func (tr *trial) questions(s *scope, e *entry) bool {
	d, before := e.doubt, tr.held[e]
	if _, leaves := s.leaving[e]; leaves || e.current == nil || d == nil || d.refused != nil || d.cause != nil {
		return false
	}
	return before == nil || before.version != e.current.version
}

// wait makes a trial wait for what its canary asked for, and for what that names:
// it will be asked for when the canary has taken that.
func (tr *trial) wait(s *scope, doubtful []*entry) {
	for more := true; more; {
		more = false
		for _, e := range doubtful {
			if _, already := tr.open[e]; !already && tr.reaches(s, e) {
				tr.open[e] = struct{}{}
				more = true
			}
		}
	}
}

// reaches says whether the canary will be sent an entry.
func (tr *trial) reaches(s *scope, e *entry) bool {
	if tr.canary == nil || s.asksAny(tr.canary, e) {
		return true
	}
	for user := range tr.open {
		if user.current.names(e) {
			return true
		}
	}
	return false
}

// names says whether a resource holds the name of another that it may use. It may
// be wrong about short names, and is used where that costs little.
func (r *Resource) names(e *entry) bool {
	if r == nil {
		return false
	}
	for _, k := range e.kind.facts().usedBy {
		if k == r.kind {
			return bytes.Contains(r.wire, []byte(e.id.Value()))
		}
	}
	return false
}

// triedElsewhere says whether the canary of another scope has been sent an entry.
func (s *scope) triedElsewhere(e *entry) bool {
	for _, other := range e.holders {
		if other == s || other.canary() == nil {
			continue
		}
		if _, open := other.trial.open[e]; open {
			return true
		}
	}
	return false
}

// conclude ends a trial that has nothing left to wait for, and lets go of what
// the scope was to lose.
func (t *table) conclude(s *scope, tn *turn) {
	if tr := s.trial; tr != nil {
		for e := range tr.open {
			if !tr.questions(s, e) {
				delete(tr.open, e)
			}
		}
		for e := range tr.open {
			if !tr.reaches(s, e) {
				delete(tr.open, e) // it was given up
			}
		}
		if len(tr.open) == 0 || !t.tries(s) {
			t.settle(s, tn)
			return
		}
	}
	t.review(s, tn)
}

// settle ends a trial: all proxies of the scope are shown the same again.
func (t *table) settle(s *scope, tn *turn) {
	t.review(s, tn)
	tr := s.trial
	tr.timer.Stop()
	for e, before := range tr.held {
		for box := range s.boxes {
			if !s.sees(box) && e.asks(box) {
				tn.markSince(box, e, nil, tr.since)
			}
		}
		t.tellEndpoints(s, before, tn)
		t.tellEndpoints(s, e.current, tn)
	}
	for e, needed := range s.leaving {
		if !needed {
			t.part(s, e, tn)
		}
	}
	s.trial = nil
	t.dropScope(s)
}

// expire ends the wait for a canary.
func (t *table) expire(s *scope, tr *trial) {
	tn := t.begin(t.clock())
	if s.trial == tr {
		t.settle(s, tn)
	}
	t.end(tn)
}

// replace puts the version in force in the place of one that the others are shown
// and that was refused.
func (tr *trial) replace(e *entry, refused version, force *Resource) {
	if tr == nil {
		return
	}
	if before := tr.held[e]; before != nil && before.version == refused {
		tr.held[e] = force
	}
}
