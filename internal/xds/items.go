package xds

import (
	"iter"
	"strings"
)

// roster is the names of one type that a scope holds, in order. All streams of
// the scope share it, and it never changes.
type roster struct {
	names   []name
	entries []*entry // of the names, for as long as the scope has this roster
	at      map[name]int
}

func newRoster(members map[name]*entry) *roster {
	r := &roster{names: make([]name, 0, len(members)), entries: make([]*entry, len(members)), at: make(map[name]int, len(members))}
	for id := range members {
		r.names = append(r.names, id)
	}
	sortNames(r.names)
	for i, id := range r.names {
		r.at[id], r.entries[i] = i, members[id]
	}
	return r
}

// items is what one stream knows of the names of one type. A stream that asks
// for most of what its scope holds, as sidecars do, keeps one word for each name
// of the scope's roster and no map: a thousand streams that hold a thousand names
// would otherwise be a million entries of maps.
type items struct {
	roster *roster // nil: none yet
	known  []item  // of the roster's names
	extra  map[name]item
}

// get gives what is known of a name; zero: nothing.
func (m *items) get(id name) item {
	if m.roster != nil {
		if i, ok := m.roster.at[id]; ok {
			return m.known[i]
		}
	}
	return m.extra[id]
}

func (m *items) set(id name, it item) {
	if m.roster != nil {
		if i, ok := m.roster.at[id]; ok {
			m.known[i] = it
			return
		}
	}
	if it == 0 {
		delete(m.extra, id)
		return
	}
	if m.extra == nil {
		m.extra = map[name]item{}
	}
	m.extra[id] = it
}

// pending is a name to look at, and its place in the roster, or -1.
type pending struct {
	id name
	at int
}

func (p pending) compare(other pending) int { return strings.Compare(p.id.Value(), other.id.Value()) }

// find gives a name's place.
func (m *items) find(id name) pending {
	if m.roster != nil {
		if i, ok := m.roster.at[id]; ok {
			return pending{id, i}
		}
	}
	return pending{id, -1}
}

// of is get for a name whose place is known.
func (m *items) of(p pending) item {
	if p.at >= 0 {
		return m.known[p.at]
	}
	return m.extra[p.id]
}

// put is set for a name whose place is known.
func (m *items) put(p pending, it item) {
	if p.at >= 0 {
		m.known[p.at] = it
		return
	}
	m.set(p.id, it)
}

// all gives every name that something is known of: those of the roster first, in
// order. Names may be set meanwhile.
func (m *items) all() iter.Seq2[name, item] {
	return func(yield func(name, item) bool) {
		for i, it := range m.known {
			if it != 0 && !yield(m.roster.names[i], it) {
				return
			}
		}
		for id, it := range m.extra {
			if !yield(id, it) {
				return
			}
		}
	}
}

// adopt changes to a newer roster, if there is much that the old one does not have.
func (m *items) adopt(r *roster) {
	if r == m.roster || m.roster != nil && len(m.extra) <= 8+len(r.names)/8 {
		return
	}
	old := *m
	*m = items{roster: r, known: make([]item, len(r.names))}
	for id, it := range old.all() {
		m.set(id, it)
	}
}
