package xds

// interest is how a request changed what a stream wants to be told of. It is
// entered into the table before anything is composed, so that no change falls
// between the two.
type interest struct {
	kind   kind
	wild   bool // whether the type as a whole is subscribed to now
	wait   []pending
	quit   []name
	roster *roster // that the places in wait are of
}

// join makes a stream's mailbox part of a scope.
func (t *table) join(box *mailbox, scopeName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joined++
	box.number = t.joined
	box.scope = t.scope(scopeName)
	box.scope.boxes[box] = struct{}{}
}

// roster gives the names of one type that a stream's scope holds.
func (t *table) roster(box *mailbox, k kind) *roster {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return view{scope: box.scope}.roster(k)
}

// enter registers a change of interest. It gives those of the names asked for
// that exist, but outside the stream's scope.
func (t *table) enter(box *mailbox, in interest) (outside []name) {
	tn := t.begin(t.clock())
	defer t.end(tn)
	s := box.scope
	gaveUp := len(in.quit) > 0 || box.wild[in.kind] && !in.wild
	if in.wild != box.wild[in.kind] {
		t.setWild(box, in.kind, in.wild)
	}
	current := in.roster != nil && s.rosters[in.kind].Load() == in.roster
	for _, p := range in.wait {
		var e *entry
		mine := current && p.at >= 0
		if mine {
			e = in.roster.entries[p.at]
		} else {
			e = t.entry(in.kind, p.id)
			_, mine = s.members[in.kind][p.id]
		}
		if !box.asked[in.kind].has(e.number) {
			box.asked[in.kind].add(e.number)
			e.waiters++
		}
		if !mine && e.current != nil {
			outside = append(outside, p.id)
		}
	}
	for _, id := range in.quit {
		t.quit(box, in.kind, id)
	}
	if gaveUp && s.sees(box) {
		tn.lookAt(s) // it may be something that is waited for
	}
	return outside
}

// leave undoes everything that a stream entered; names are those it asked for.
func (t *table) leave(box *mailbox, names [kindCount][]name) {
	tn := t.begin(t.clock())
	defer t.end(tn)
	for k := range kindCount {
		if box.wild[k] {
			t.setWild(box, k, false)
		}
		for _, id := range names[k] {
			t.quit(box, k, id)
		}
	}
	s := box.scope
	delete(s.boxes, box)
	if s.trial != nil {
		if s.trial.canary == box {
			t.succeed(s, tn)
		}
		tn.lookAt(s)
	}
	t.dropScope(s)
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
	if box.asked[k].has(e.number) {
		box.asked[k].remove(e.number)
		e.waiters--
	}
	t.dropEntry(e)
}

// view is what one stream of a scope sees. It is used under the table's read
// lock, for as long as it takes to compose one response.
type view struct {
	scope *scope
	box   *mailbox
}

// lookup gives the resource that this scope is sent under a name, or nil.
func (v view) lookup(k kind, id name) *Resource {
	if e := v.scope.members[k][id]; e != nil {
		return v.shown(e)
	}
	return nil
}

// shown is the version of an entry that is sent: the newest, or the last good
// one if that was refused or is on trial with another proxy.
func (v view) shown(e *entry) *Resource {
	if s := v.scope; s.trial != nil {
		if s.sees(v.box) {
			if s.hides(e) {
				return nil
			}
		} else if before, ok := s.trial.shows(v.box, e); ok {
			return before
		}
	}
	if d := e.doubt; d != nil && (d.refused != nil || d.cause != nil) {
		return d.inForce()
	}
	return e.current
}

// withholds says whether there is a resource of a name that is not sent now.
func (v view) withholds(k kind, id name) bool {
	e := v.scope.members[k][id]
	return e != nil && e.current != nil && v.shown(e) == nil
}

// refuses says whether a version of a name is quarantined.
func (v view) refuses(k kind, id name, refused version) bool {
	e := v.scope.members[k][id]
	return e != nil && e.doubt != nil && e.doubt.refused != nil && e.doubt.refused.version == refused
}

// doubts says whether no proxy has answered yet for the newest version of a name.
func (v view) doubts(k kind, id name) bool {
	e := v.scope.members[k][id]
	return e != nil && e.doubt != nil
}

// roster gives the names that the scope holds of a type, also of those that have
// no resource yet. It is kept for as long as the scope has the same, for sorting
// a thousand names takes longer than sending what they name.
func (v view) roster(k kind) *roster {
	r := v.scope.rosters[k].Load()
	if r == nil {
		r = newRoster(v.scope.members[k])
		if !v.scope.rosters[k].CompareAndSwap(nil, r) {
			r = v.scope.rosters[k].Load() // another stream was faster: all have to use the same one
		}
	}
	return r
}
