package xds

import (
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
	present [kindCount]int // how many resources there are of each type
	refused map[*entry]struct{}

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

	// joined are the bytes of what was sent last: SotW, and delta. They need no lock.
	joined [kindCount][2]joins
}

func (s *scope) joins(k kind, delta bool) *joins {
	if delta {
		return &s.joined[k][1]
	}
	return &s.joined[k][0]
}

func newTable() *table {
	t := &table{scopes: map[string]*scope{}, refused: map[*entry]struct{}{}}
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
	touched := map[*mailbox]struct{}{}
	t.mu.Lock()
	// All is taken hold of before anything is let go, so that what goes from one
	// scope to another stays.
	for scopeName, names := range next {
		t.hold(t.scope(scopeName), names, now, touched)
	}
	var departed []departure
	for scopeName, names := range next {
		s := t.scopes[scopeName]
		departed = append(departed, t.letGo(s, names, now, touched)...)
		t.dropScope(s)
	}
	t.unblock(departed, now, touched)
	for _, r := range u.Put {
		if r == nil || r.wire == nil {
			faulty++
			continue
		}
		t.put(r, now, touched)
	}
	t.mu.Unlock()
	for box := range touched {
		box.signal()
	}
	return faulty, len(touched)
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
func (t *table) put(r *Resource, now time.Time, touched map[*mailbox]struct{}) {
	e := t.entries[r.kind][r.id]
	if e == nil || len(e.holders) == 0 {
		return
	}
	before := e.current
	e.current = r // also when the content is equal: its origin may be newer
	if before == nil {
		t.present[r.kind]++
	} else if before.version == r.version {
		return
	}
	if r.kind == kindRuntime {
		t.pardon(now, touched)
	}
	t.doubted(e, before)
	if e.doubt == nil || e.doubt.refused == nil {
		t.free(e, now, touched)
	}
	t.tellAll(e, now, touched)
	t.use(e, before, r)
	for _, id := range endpointsOf(before, r) {
		if endpoints := t.entries[kindEndpoint][id]; endpoints != nil {
			t.tellAll(endpoints, now, touched)
		}
	}
}

// tellAll marks one entry for the streams of all scopes that asked for it.
func (t *table) tellAll(e *entry, now time.Time, touched map[*mailbox]struct{}) {
	for _, s := range e.holders {
		t.tell(s, e, nil, now, touched)
	}
}

// hold gives a scope those of its new members that it has not, and marks them
// for its streams.
func (t *table) hold(s *scope, next members, now time.Time, touched map[*mailbox]struct{}) {
	for k := range kindCount {
		for id := range next[k] {
			if _, held := s.members[k][id]; held {
				continue
			}
			e := t.entry(k, id)
			e.holders = append(e.holders, s)
			if s.members[k] == nil {
				s.members[k] = map[name]*entry{}
			}
			s.members[k][id] = e
			s.rosters[k].Store(nil)
			t.tell(s, e, nil, now, touched)
			t.tellEndpoints(s, e.current, now, touched)
		}
	}
}

// letGo takes from a scope what is not among its new members. It gives those that
// are in doubt.
func (t *table) letGo(s *scope, next members, now time.Time, touched map[*mailbox]struct{}) (departed []departure) {
	for k := range kindCount {
		for id, e := range s.members[k] {
			if _, stays := next[k][id]; stays {
				continue
			}
			gone := view{s}.shown(e)
			if e.doubt != nil {
				departed = append(departed, departure{s, e})
			}
			delete(s.members[k], id)
			s.rosters[k].Store(nil)
			t.release(e, s)
			t.tell(s, e, gone, now, touched)
			t.tellEndpoints(s, gone, now, touched)
		}
	}
	return departed
}

// tell marks one entry for the streams of one scope that asked for it.
func (t *table) tell(s *scope, e *entry, gone *Resource, now time.Time, touched map[*mailbox]struct{}) {
	for box := range s.boxes {
		if box.wild[e.kind] || box.asked[e.kind].has(e.number) {
			touched[box] = struct{}{}
			box.mark(e.kind, e.id, gone, now)
		}
	}
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

// dropScope forgets a scope that holds nothing and has no streams.
func (t *table) dropScope(s *scope) {
	for k := range s.members {
		if len(s.members[k]) > 0 {
			return
		}
	}
	if len(s.boxes) == 0 {
		delete(t.scopes, s.name)
	}
}
