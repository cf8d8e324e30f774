package xds

// linger takes an entry from the declaration of a scope, and leaves it to those
// of its proxies that may go on to use it: to all but the canary for as long as
// there is a trial, and to all for as long as something that was refused is
// replaced by a version that names it.
func (t *table) linger(s *scope, e *entry, tn *turn) {
	if _, already := s.leaving[e]; already {
		return
	}
	if s.leaving == nil {
		s.leaving = map[*entry]bool{}
	}
	gone := view{s, s.canary()}.shown(e)
	s.leaving[e] = false
	t.tellCanary(s, e, gone, tn)
	tn.lookAt(s)
}

// stay undoes linger for what a scope holds again.
func (t *table) stay(s *scope, e *entry, tn *turn) {
	if _, left := s.leaving[e]; left {
		t.alterIn(s, e, view{scope: s}.shown(e), tn)
		t.tellCanary(s, e, nil, tn)
		delete(s.leaving, e)
	}
}

// review decides anew about what is leaving a scope.
func (t *table) review(s *scope, tn *turn) {
	for e, before := range s.leaving {
		needed := t.needed(s, e)
		switch {
		case s.trial == nil && !needed:
			t.withdraw(s, e, tn)
		case needed && !before:
			s.leaving[e] = true
			t.tellCanary(s, e, nil, tn)
		case !needed && before:
			gone := view{s, s.canary()}.shown(e)
			s.leaving[e] = false
			t.tellCanary(s, e, gone, tn)
		}
	}
	if len(s.leaving) == 0 {
		s.leaving = nil
		t.dropScope(s)
	}
}

// needed says whether something that is in force instead of a refused version,
// or that is kept for its sake, names an entry.
func (t *table) needed(s *scope, e *entry) bool {
	if len(t.refused) == 0 {
		return false
	}
	if d := e.doubt; d != nil && (d.refused != nil || d.cause != nil) && d.inForce() == nil {
		return false // there is nothing to keep, and others may wait for it to go
	}
	for _, k := range e.kind.facts().usedBy {
		for _, user := range s.members[k] {
			d := user.doubt
			var r *Resource
			if _, leaves := s.leaving[user]; leaves {
				if r = user.current; !r.names(e) || !t.needed(s, user) {
					continue
				}
			} else if d != nil && (d.refused != nil || d.cause != nil) {
				r = d.inForce()
			}
			if r.names(e) {
				return true
			}
		}
	}
	return false
}

// hides says whether the canary of a scope is not shown an entry any more.
func (s *scope) hides(e *entry) bool {
	needed, leaves := s.leaving[e]
	return leaves && !needed
}
