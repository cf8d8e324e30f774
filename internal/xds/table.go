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

// scope is what one group of streams may see.
type scope struct {
	name    string
	members [kindCount]map[name]*entry
	boxes   map[*mailbox]struct{} // of all its streams
	wild    [kindCount]map[*mailbox]struct{}

	// rosters are the names of the members; nil: not made since they changed.
	// They are also set under the table's read lock.
	rosters [kindCount]atomic.Pointer[roster]

	// alikes are what was sent last: SotW, and delta. They need no lock.
	alikes [kindCount][2]alikes

	trial *trial // nil: all its proxies are shown the same
	// leaving are the members that were taken from the scope and that some of its
	// proxies are still shown. True: all are, for the sake of something refused.
	leaving map[*entry]bool
}

func (s *scope) alike(k kind, delta bool) *alikes {
	if delta {
		return &s.alikes[k][1]
	}
	return &s.alikes[k][0]
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

// members are the names that a scope holds of each type.
type members [kindCount]map[name]struct{}

func membersOf(keys []Key) (m members, faulty int) {
	for _, key := range keys {
		k, ok := kindOf(key.Type)
		if !ok || key.Name == "" {
			faulty++
			continue
		}
		if m[k] == nil {
			m[k] = map[name]struct{}{}
		}
		m[k][nameOf(key.Name)] = struct{}{}
	}
	return m, faulty
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

// hold gives a scope those of its new members that it has not, and marks them
// for its streams.
func (t *table) hold(s *scope, next members, tn *turn) {
	for k := range kindCount {
		for id := range next[k] {
			if e, held := s.members[k][id]; held {
				t.stay(s, e, tn)
				continue
			}
			e := t.entry(k, id)
			e.holders = append(e.holders, s)
			if s.members[k] == nil {
				s.members[k] = map[name]*entry{}
			}
			s.members[k][id] = e
			s.rosters[k].Store(nil)
			t.alterIn(s, e, nil, tn)
		}
	}
}

// letGo takes from a scope what is not among its new members. What some of its
// proxies may go on to use goes later.
func (t *table) letGo(s *scope, next members, tn *turn) {
	later := !next.empty() && (t.wait > 0 && len(s.boxes) > 0 || len(t.refused) > 0)
	for k := range kindCount {
		for id, e := range s.members[k] {
			if _, stays := next[k][id]; stays {
				continue
			}
			if later && (view{scope: s}).shown(e) != nil {
				t.linger(s, e, tn)
			} else {
				t.part(s, e, tn)
			}
		}
	}
	switch {
	case s.trial == nil:
	case next.empty():
		s.trial.timer.Stop()
		s.trial = nil
	default:
		tn.lookAt(s) // what it waits for may have left
	}
}

// part takes one entry from a scope.
func (t *table) part(s *scope, e *entry, tn *turn) {
	toCanary, toOthers := view{s, s.canary()}.shown(e), tn.before(s, e)
	for box := range s.boxes {
		if !e.asks(box) {
			continue
		}
		gone := toOthers
		if s.sees(box) || s.trial != nil && s.trial.precedes(box) {
			gone = view{s, box}.shown(e)
		}
		tn.mark(box, e, gone)
	}
	delete(s.leaving, e)
	delete(s.members[e.kind], e.id)
	s.rosters[e.kind].Store(nil)
	if s.trial != nil {
		delete(s.trial.held, e)
		s.trial.forget(e, tn)
	}
	if e.doubt != nil {
		tn.departed = append(tn.departed, departure{s, e})
	}
	t.release(e, s)
	t.tellEndpoints(s, toCanary, tn)
	t.tellEndpoints(s, toOthers, tn)
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

// scope finds or makes the scope of that name.
func (t *table) scope(scopeName string) *scope {
	s := t.scopes[scopeName]
	if s == nil {
		s = &scope{name: scopeName, boxes: map[*mailbox]struct{}{}}
		t.scopes[scopeName] = s
	}
	return s
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

func (m members) empty() bool {
	for k := range m {
		if len(m[k]) > 0 {
			return false
		}
	}
	return true
}

// dropScope forgets a scope that holds nothing and has no streams.
func (t *table) dropScope(s *scope) {
	for k := range s.members {
		if len(s.members[k]) > 0 {
			return
		}
	}
	if len(s.boxes) == 0 && t.scopes[s.name] == s {
		delete(t.scopes, s.name)
	}
}
