package xds

import "sync/atomic"

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
				t.withdraw(s, e, tn)
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

// withdraw takes one entry from a scope.
func (t *table) withdraw(s *scope, e *entry, tn *turn) {
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

// scope finds or makes the scope of that name.
func (t *table) scope(scopeName string) *scope {
	s := t.scopes[scopeName]
	if s == nil {
		s = &scope{name: scopeName, boxes: map[*mailbox]struct{}{}}
		t.scopes[scopeName] = s
	}
	return s
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
