package xds

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// trial is what changed in a scope for as long as it is shown to one of its
// proxies alone, the canary. The others are shown the scope as it was before, in
// one piece, so that none has a route without its cluster. It ends as a whole:
// with the last answer of the canary, or when it was waited for long enough.
// What changes meanwhile joins it.
//
// What several scopes share is tried in one of them. The others wait for that
// without a canary, all of what changed in them, and then try what is left.
type trial struct {
	canary *mailbox             // nil: what is waited for is tried in another scope
	held   map[*entry]*Resource // what the others are shown instead; nil: nothing
	open   map[*entry]struct{}  // what is waited for
	since  time.Time
	last   uint64 // the stream that came last before it
	timer  *time.Timer
}

// several says whether a scope has more than one proxy.
func (s *scope) several() bool {
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
		}
	}
	chosen := false
	if !fresh || tn.worthTrying(s, slices.Values(doubtful)) {
		elsewhere := tr.elsewhere() || slices.ContainsFunc(doubtful, (*entry).onTrial)
		if tr.canary == nil && !elsewhere {
			chosen = tr.appoint(s.choose(slices.AppendSeq(slices.Clone(doubtful), maps.Keys(tr.open))))
		}
		if tr.canary != nil || elsewhere {
			tr.wait(s, doubtful)
		}
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
	before := tr.held[e]
	if _, leaves := s.leaving[e]; leaves || !e.unanswered() {
		return false
	}
	return before == nil || before.version != e.current.version
}

// wait makes a trial wait for what its canary asked for, and for what that names:
// it will be asked for when the canary has taken that.
func (tr *trial) wait(s *scope, doubtful []*entry) {
	reached, _ := tr.reach(s, doubtful, slices.Collect(maps.Keys(tr.open)))
	for _, e := range reached {
		if _, already := tr.open[e]; already {
			continue
		}
		tr.open[e] = struct{}{}
		if tr.canary != nil {
			e.trials++
		}
	}
}

// forget takes an entry from what a trial waits for. If it was not answered,
// those who wait for it in other scopes try it themselves.
func (tr *trial) forget(e *entry, tn *turn) {
	if _, open := tr.open[e]; !open {
		return
	}
	delete(tr.open, e)
	if tr.canary == nil {
		return
	}
	if e.trials--; e.trials == 0 && e.unanswered() {
		tn.visit(e)
	}
}

// appoint makes a proxy, if there is one, the canary of a trial that has none.
func (tr *trial) appoint(canary *mailbox) bool {
	if canary == nil {
		return false
	}
	tr.canary = canary
	for e := range tr.open {
		e.trials++
	}
	return true
}

// unanswered says whether the newest version of an entry may be sent, and no
// proxy has accepted or refused it.
func (e *entry) unanswered() bool {
	d := e.doubt
	return e.current != nil && d != nil && d.refused == nil && d.cause == nil
}

// onTrial says whether the canary of any scope is sent an entry.
func (e *entry) onTrial() bool { return e.trials > 0 }

// elsewhere says whether a trial that has no canary waits for that of another scope.
func (tr *trial) elsewhere() bool {
	if tr.canary != nil {
		return false
	}
	for e := range tr.open {
		if e.onTrial() {
			return true
		}
	}
	return false
}

// worthTrying says whether there is another proxy that could have any of the
// entries later: in the scope, or in another one that shares it.
func (tn *turn) worthTrying(s *scope, entries iter.Seq[*entry]) bool {
	if s.several() {
		return true
	}
	for e := range entries {
		if tn.isShared(e) {
			return true
		}
	}
	return false
}

// conclude ends a trial that has nothing left to wait for, and lets go of what
// the scope was to lose.
func (t *table) conclude(s *scope, tn *turn) {
	if s.trial != nil && !t.goesOn(s, tn) {
		t.settle(s, tn)
		return
	}
	t.review(s, tn)
}

// goesOn says whether a trial has anything left to wait for. One that waited for
// the canary of another scope chooses its own for what is left.
func (t *table) goesOn(s *scope, tn *turn) bool {
	tr := s.trial
	for e := range tr.open {
		if !tr.questions(s, e) {
			tr.forget(e, tn)
		}
	}
	_, lost := tr.reach(s, slices.Collect(maps.Keys(tr.open)), nil)
	for _, e := range lost {
		tr.forget(e, tn) // it was given up
	}
	over := len(tr.open) == 0 || len(s.boxes) == 0 || tn.now.Sub(tr.since) >= t.wait
	if over || !tn.worthTrying(s, maps.Keys(tr.open)) {
		return false
	}
	if tr.canary == nil && !tr.elsewhere() {
		if !tr.appoint(s.choose(slices.Collect(maps.Keys(tr.open)))) {
			return false
		}
		t.show(s, tn)
		tn.lookAt(s) // it may not ask for all of it
	}
	return true
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
			t.withdraw(s, e, tn)
		}
	}
	s.trial = nil
	for e := range tr.open {
		tr.forget(e, tn)
	}
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
