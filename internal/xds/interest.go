package xds

// interest is how a request changed what a stream wants to be told of. It is
// entered into the table before anything is composed, so that no change falls
// between the two.
type interest struct {
	kind       kind
	wild       bool // whether the type as a whole is subscribed to now
	wait, quit []name
}

// join makes a stream's mailbox part of a scope.
func (t *table) join(box *mailbox, scopeName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	box.scope = t.scope(scopeName)
	box.scope.boxes[box] = struct{}{}
}

// enter registers a change of interest. It gives those of the names asked for
// that exist, but outside the stream's scope.
func (t *table) enter(box *mailbox, in interest) (outside []name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := box.scope
	if in.wild != box.wild[in.kind] {
		t.setWild(box, in.kind, in.wild)
	}
	for _, id := range in.wait {
		e := t.entry(in.kind, id)
		if e.waiters == nil {
			e.waiters = map[*mailbox]struct{}{}
		}
		e.waiters[box] = struct{}{}
		if _, mine := s.members[in.kind][id]; !mine && e.current != nil {
			outside = append(outside, id)
		}
	}
	for _, id := range in.quit {
		t.quit(box, in.kind, id)
	}
	return outside
}

// leave undoes everything that a stream entered; names are those it asked for.
func (t *table) leave(box *mailbox, names [kindCount][]name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range kindCount {
		if box.wild[k] {
			t.setWild(box, k, false)
		}
		for _, id := range names[k] {
			t.quit(box, k, id)
		}
	}
	delete(box.scope.boxes, box)
	t.dropScope(box.scope)
}

func (t *table) setWild(box *mailbox, k kind, on bool) {
	s := box.scope
	box.wild[k] = on
	if !on {
		delete(s.wild[k], box)
		return
	}
	if s.wild[k] == nil {
		s.wild[k] = map[*mailbox]struct{}{}
	}
	s.wild[k][box] = struct{}{}
}

func (t *table) quit(box *mailbox, k kind, id name) {
	e := t.entries[k][id]
	if e == nil {
		return
	}
	delete(e.waiters, box)
	t.dropEntry(e)
}

// view is what one scope sees. It is used under the table's read lock, for as
// long as it takes to compose one response.
type view struct{ scope *scope }

// lookup gives the resource that this scope is sent under a name, or nil. This
// is the one place where a version that was refused would give way to the last
// good one.
func (v view) lookup(k kind, id name) *Resource {
	if e := v.scope.members[k][id]; e != nil {
		return e.current
	}
	return nil
}

// names gives the names of all resources of a type, in no order.
func (v view) names(k kind) []name {
	names := make([]name, 0, len(v.scope.members[k]))
	for id, e := range v.scope.members[k] {
		if e.current != nil {
			names = append(names, id)
		}
	}
	return names
}

// version is the version of all resources of a type together.
func (v view) version(k kind) version {
	var sum version
	for _, e := range v.scope.members[k] {
		if e.current != nil {
			sum += e.current.version
		}
	}
	return sum
}
