package xds

import (
	"slices"
	"time"
)

// doubt is what is kept beside a cluster, listener or route for as long as no
// proxy has accepted its newest version: what to go back to.
type doubt struct {
	good *Resource // the last version that a proxy accepted; nil: there is none
	base *Resource // what was put in force after good and is not answered yet; nil: good is in force

	refused *refusal // a proxy refused the newest version: the others are not sent it
	cause   *entry   // the newest version needs this resource, which was refused
}

// refusal is the newest version of a resource after a proxy refused it.
type refusal struct {
	version version
	what    Quarantined
}

// inForce is what is sent for as long as the newest version is not.
func (d *doubt) inForce() *Resource {
	if d.base != nil {
		return d.base
	}
	return d.good
}

// maxRefusals bounds how many refused versions are remembered. Those of
// resources that no scope holds any more are forgotten first.
const maxRefusals = 1_000

// setDoubt keeps count of the entries in doubt, so that answers cost nothing
// while there are none.
func (t *table) setDoubt(e *entry, d *doubt) {
	switch {
	case e.doubt == nil && d != nil:
		t.doubts[e.kind].Add(1)
	case e.doubt != nil && d == nil:
		t.doubts[e.kind].Add(-1)
	}
	if d == nil || d.refused == nil {
		delete(t.refused, e)
	}
	e.doubt = d
}

// doubted opens the doubt about a new version. before is what the entry held.
func (t *table) doubted(e *entry, before *Resource) {
	if !e.kind.facts().tried {
		return
	}
	old, d := e.doubt, &doubt{}
	switch {
	case old == nil:
		d.good = before
	case old.refused != nil && old.refused.version == e.current.version:
		return // it comes back as it was refused
	case old.refused != nil || old.cause != nil || !t.public(e):
		d.good, d.base = old.good, old.base
	default:
		d.good, d.base = old.good, before
	}
	if force := d.inForce(); force != nil && force.version == e.current.version {
		if force == d.good {
			d = nil
		} else {
			d.base = nil // it is the newest again, and as little answered as before
		}
	}
	t.setDoubt(e, d)
}

// public says whether any stream asked for an entry that is not on trial in all
// scopes: its version is in force.
func (t *table) public(e *entry) bool {
	for _, s := range e.holders {
		if len(s.boxes) == 0 || e.waiters == 0 && len(s.wild[e.kind]) == 0 {
			continue
		}
		if s.trial == nil {
			return true
		}
		if _, held := s.trial.held[e]; !held {
			return true
		}
	}
	return false
}

// markAll tells every stream that asked for an entry to look at it.
func (t *table) markAll(e *entry, tn *turn) {
	for _, s := range e.holders {
		t.tell(s, e, tn)
		t.tellEndpoints(s, e.current, tn)
	}
}

// accepted takes in that a proxy took versions, or that it came with them.
func (t *table) accepted(k kind, items []sentItem, now time.Time) {
	if t.doubts[k].Load() == 0 {
		return
	}
	tn := t.begin(now)
	for _, one := range items {
		if e := t.entries[k][one.id]; e != nil && e.doubt != nil && one.version != 0 {
			t.accept(e, one.version, tn)
		}
	}
	t.end(tn)
}

func (t *table) accept(e *entry, v version, tn *turn) {
	d := e.doubt
	switch {
	case e.current != nil && e.current.version == v:
		if d.refused != nil && d.inForce() != nil {
			return // it crossed the refusal; all are on the last good version again
		}
		tn.visit(e)
		if d.refused != nil || d.cause != nil {
			// It works for this one, and there is nothing better: the refusal is the
			// matter of the one that refused. So it is after the server was started
			// again, and with what was on its way when it was held back.
			t.alter(e, tn)
			t.free(e, tn)
		}
		t.setDoubt(e, nil)
	case d.base != nil && d.base.version == v:
		d.good, d.base = d.base, nil
	}
}

// givenBack is a version that a proxy refused and that nobody is sent any more.
type givenBack struct {
	sentItem
	known bool // another proxy had refused it before
	wide  bool // other proxies may have been sent it too
}

// refuse takes in that a stream's proxy refused versions. Those that no proxy has
// accepted are quarantined, and given back: from now on nobody is sent them.
func (t *table) refuse(box *mailbox, k kind, items []sentItem, q Quarantined) (quarantined []givenBack) {
	tn := t.begin(q.At)
	for _, one := range items {
		e := t.entries[k][one.id]
		if e == nil || e.doubt == nil || one.version == 0 {
			continue
		}
		d, back := e.doubt, givenBack{sentItem: one, wide: e.isShown(one.version, box)}
		switch {
		case d.base != nil && d.base.version == one.version:
			d.base = nil
		case e.current == nil || e.current.version != one.version:
			continue
		case d.refused == nil:
			q.Type, q.Name, q.Version, q.Origin = e.current.Type, e.current.Name, e.current.Version, e.current.Origin
			d.refused = &refusal{version: one.version, what: q}
			t.remember(e)
			t.withhold(e, tn)
		default:
			back.known = true
		}
		quarantined = append(quarantined, back)
		for _, s := range e.holders {
			s.trial.replace(e, one.version, d.inForce())
			if s.hides(e) {
				t.tellCanary(s, e, d.inForce(), tn) // what it goes on with
			}
		}
		t.markAll(e, tn)
		tn.visit(e)
	}
	t.end(tn)
	return quarantined
}

// isShown says whether any proxy but that of a stream is shown a version.
func (e *entry) isShown(v version, but *mailbox) bool {
	for _, s := range e.holders {
		for box := range s.boxes {
			if box.sameProxy(but) || !e.asks(box) {
				continue
			}
			if r := (view{s, box}).shown(e); r != nil && r.version == v {
				return true
			}
		}
	}
	return false
}

// withhold keeps back what cannot work without a resource of which there is no
// good version: the new versions of routes and listeners that name it.
func (t *table) withhold(e *entry, tn *turn) {
	if e.doubt.inForce() != nil {
		return
	}
	for _, user := range e.kind.facts().usedBy {
		if t.doubts[user].Load() == 0 {
			continue
		}
		for _, s := range e.holders {
			for _, other := range s.members[user] {
				d := other.doubt
				if d == nil || d.refused != nil || d.cause != nil || !other.current.names(e) {
					continue
				}
				d.cause = e
				t.markAll(other, tn)
				tn.visit(other)
				t.withhold(other, tn)
			}
		}
	}
}

// free undoes withhold, when e has a version that may be sent.
func (t *table) free(e *entry, tn *turn) {
	for _, user := range e.kind.facts().usedBy {
		for _, s := range e.holders {
			for _, other := range s.members[user] {
				if other.doubt != nil && other.doubt.cause == e {
					t.alter(other, tn)
					other.doubt.cause = nil
					t.free(other, tn)
				}
			}
		}
	}
}

// departure is an entry that left a scope.
type departure struct {
	scope *scope
	entry *entry
}

// unblock undoes withhold after an entry left its scope: what no scope holds
// together with its cause any more need not wait for it.
func (t *table) unblock(one departure, tn *turn) {
	t.reconsider(one.entry, tn)
	for _, user := range one.entry.kind.facts().usedBy {
		for _, other := range one.scope.members[user] {
			t.reconsider(other, tn)
		}
	}
}

func (t *table) reconsider(e *entry, tn *turn) {
	if e.doubt == nil || e.doubt.cause == nil {
		return
	}
	cause := e.doubt.cause
	if slices.ContainsFunc(cause.holders, func(s *scope) bool { return s.members[e.kind][e.id] == e }) {
		return
	}
	t.alter(e, tn)
	e.doubt.cause = nil
	t.free(e, tn)
}

// remember notes a refusal, and forgets another one if there are too many.
func (t *table) remember(e *entry) {
	if len(t.refused) >= maxRefusals {
		for other := range t.refused {
			if len(other.holders) == 0 {
				t.setDoubt(other, nil)
				t.dropEntry(other)
				break
			}
		}
	}
	t.refused[e] = struct{}{}
}
