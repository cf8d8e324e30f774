package xds

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// table holds every resource once, who may see it, and who asked for it.
//
// Lock order: stream.mu, then table.mu, then mailbox.mu. Nothing is sent or
// received under any of them.
type table struct {
	mu      sync.RWMutex // guards all fields below and those of entries and scopes
	entries [kindCount]map[name]*entry
	numbers [kindCount]numbers // of the entries
	scopes  map[string]*scope
	present [kindCount]int      // how many resources there are of each type
	refused map[*entry]struct{} // those whose newest version a proxy refused
	joined  uint64              // how many streams have come

	wait  time.Duration // for a canary; 0: nothing is tried. Never changes
	clock func() time.Time

	// doubts counts the entries of each type with a doubt; it may be read without the lock.
	doubts [kindCount]atomic.Int64
}

// entry is the place of one resource: it is there while a scope holds it or a
// stream waits for it. What streams are sent is read through [view.lookup]
// alone, so that a refused version can be kept from them there.
type entry struct {
	kind    kind
	id      name
	current *Resource // the newest version; nil: there is none
	doubt   *doubt    // nil: a proxy accepted it
	holders []*scope
	number  int // among those of its kind, for the sets of [bits] of the streams
	waiters int // how many streams asked for it by name
	trials  int // how many scopes have a canary that tries it

	// Of endpoints: the clusters that wait for them, and the form in which they
	// were sent last, which needs no lock.
	users    []*entry
	covering atomic.Pointer[covering]
}

func newTable(wait time.Duration, clock func() time.Time) *table {
	t := &table{scopes: map[string]*scope{}, refused: map[*entry]struct{}{}, wait: wait, clock: clock}
	for k := range t.entries {
		t.entries[k] = map[name]*entry{}
	}
	return t
}

// Update is one transaction: streams see all of it or nothing.
type Update struct {
	// Revision says which state of the source it was made from, for logs.
	Revision string
	// Written is when the oldest of what it tells was written, for the time that
	// passes until proxies acknowledge it; zero: nothing was.
	Written time.Time
	Traces  []string // of the writers who are followed, for Config.Answered
	// Put are new or changed resources. One whose version is there already
	// changes nothing and wakes nobody. One that no scope holds when the
	// transaction is done is dropped.
	Put []*Resource
	// Scopes gives the full new set of members of each scope that changed. A
	// nil slice takes the scope away.
	Scopes map[string][]Key
}

// apply does the update and wakes the streams that it concerns: those that
// asked for what changed, and no others. It gives the number of faulty keys
// and resources, which it passes over, and of the streams woken.
func (t *table) apply(u Update, now time.Time) (faulty, woken int) {
	next := make(map[string]members, len(u.Scopes))
	for scopeName, keys := range u.Scopes {
		var wrong int
		next[scopeName], wrong = membersOf(keys)
		faulty += wrong
	}
	tn := t.begin(now)
	// All is taken hold of before anything is let go, so that what goes from one
	// scope to another stays.
	for scopeName, names := range next {
		t.hold(t.scope(scopeName), names, tn)
	}
	for scopeName, names := range next {
		s := t.scopes[scopeName]
		t.letGo(s, names, tn)
		t.dropScope(s)
	}
	for _, r := range u.Put {
		if r == nil || r.wire == nil {
			faulty++
			continue
		}
		t.put(r, tn)
	}
	t.end(tn)
	return faulty, len(tn.touched)
}

// put makes r the current resource of its entry.
func (t *table) put(r *Resource, tn *turn) {
	e := t.entries[r.kind][r.id]
	if e == nil || !e.stays() {
		return
	}
	before := e.current
	if before != nil && before.version == r.version {
		e.current = r // its origin may be newer
		return
	}
	t.alter(e, tn)
	e.current = r
	if before == nil {
		t.present[r.kind]++
	}
	tn.pardon = tn.pardon || r.kind == kindRuntime
	if d := e.doubt; d != nil && (d.refused != nil || d.cause != nil) {
		tn.mended = append(tn.mended, e)
	}
	t.doubted(e, before)
	t.use(e, before, r)
	for _, id := range endpointsOf(before, r) {
		if endpoints := t.entries[kindEndpoint][id]; endpoints != nil {
			t.tellAll(endpoints, tn)
		}
	}
}

// stays says whether any scope holds an entry and goes on to do so.
func (e *entry) stays() bool {
	return slices.ContainsFunc(e.holders, func(s *scope) bool {
		_, leaves := s.leaving[e]
		return !leaves
	})
}

// tellAll marks one entry for the streams of all scopes that asked for it.
func (t *table) tellAll(e *entry, tn *turn) {
	for _, s := range e.holders {
		t.tell(s, e, tn)
	}
}

// tell marks one entry for the streams of one scope that asked for it.
func (t *table) tell(s *scope, e *entry, tn *turn) {
	for box := range s.boxes {
		if e.asks(box) {
			tn.mark(box, e, nil)
		}
	}
}

// asks says whether a stream of a scope that holds e asked for it.
func (e *entry) asks(box *mailbox) bool {
	return box.wild[e.kind] || box.asked[e.kind].has(e.number)
}

// release takes a scope's hold off an entry. A resource that no scope holds
// leaves the server.
func (t *table) release(e *entry, s *scope) {
	for i, holder := range e.holders {
		if holder == s {
			last := len(e.holders) - 1
			e.holders[i], e.holders[last] = e.holders[last], nil
			e.holders = e.holders[:last]
			break
		}
	}
	if len(e.holders) == 0 && e.current != nil {
		t.use(e, e.current, nil)
		e.current = nil
		t.present[e.kind]--
	}
	if len(e.holders) == 0 && e.doubt != nil && e.doubt.refused == nil {
		t.setDoubt(e, nil)
	}
	t.dropEntry(e)
}

// entry finds or makes the entry of a name.
func (t *table) entry(k kind, id name) *entry {
	e := t.entries[k][id]
	if e == nil {
		e = &entry{kind: k, id: id, number: t.numbers[k].take()}
		t.entries[k][id] = e
	}
	return e
}

// dropEntry forgets an entry that nobody holds, waits for or uses. A refusal is
// remembered: the proxies of a scope may all be gone for a while.
func (t *table) dropEntry(e *entry) {
	if len(e.holders) == 0 && e.waiters == 0 && len(e.users) == 0 && e.doubt == nil && t.entries[e.kind][e.id] == e {
		t.numbers[e.kind].give(e.number)
		delete(t.entries[e.kind], e.id)
	}
}
