package xds

import "iter"

// roster is the names of one type that a scope holds, in order. All streams of
// the scope share it, and it never changes.
type roster struct {
	names []name
	at    map[name]int
}

func newRoster(members map[name]*entry) *roster {
	r := &roster{names: make([]name, 0, len(members)), at: make(map[name]int, len(members))}
	for id := range members {
		r.names = append(r.names, id)
	}
	sortNames(r.names)
	for i, id := range r.names {
		r.at[id] = i
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
