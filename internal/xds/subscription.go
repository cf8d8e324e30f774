package xds

import (
	"slices"
	"time"
)

// wildcardName subscribes to a type as a whole.
const wildcardName = "*"

var wildcard = nameOf(wildcardName)

// subscription is what one stream asked for of one type, and what it has.
type subscription struct {
	kind     kind
	wildcard bool
	named    bool // names were asked for at least once: an empty list is no wildcard any more

	// items holds every name that was asked for explicitly, that the client
	// holds, or that is pending: to be looked at when the next response is
	// composed. It is changed through put alone, which counts.
	items   items
	asked   int // how many were asked for explicitly
	pending int // how many are pending

	few          []name    // those pending, if they are few; any of them may be so no more, or be there twice
	pendingSince time.Time // of the oldest of them
	pendingApply bool      // they come from an update, not from a request
	rescan       bool      // every name that the scope holds is to be looked at
	owed         bool      // an answer is due even if it is empty

	// alone are those of the pending names that are sent in a response of their
	// own, because one of them was refused and the client did not say which.
	alone map[name]struct{}

	resume  string    // the version of the whole type that a SotW client came with
	waiting time.Time // since when it is held back for clusters; zero: it is not

	// ghosts are resources that left the scope and that a SotW response still
	// holds, because the client may still be using them.
	ghosts map[name]*Resource
	// keepUntil: before this, nothing that the client said it has is removed.
	keepUntil time.Time

	flights  []flight          // sent and neither acknowledged nor refused, oldest first
	rejected map[name]sentItem // refused, and not replaced by something accepted yet
	words    map[name]string   // the client's, of what is in rejected; of others they may be old

	leases    map[name]time.Time // when the client was last told of what has a TTL
	heartbeat uint64             // the nonce of the last one; 0: none to be answered

	held         version // of what the client was sent: the sum over items
	sent, acked  version // held, as of the last response and the last acknowledgement
	nonce        uint64  // of the last response; 0: none was sent
	acknowledged bool    // at least one response was acknowledged
	lastNack     *Nack
	rejectedAt   time.Time
	trying       map[name]trying // what is tried again although it was refused
	responses    uint64
	nacks        uint64

	// kept are the versions that a SotW client goes on with, of all that was new in
	// the responses that it refused since it last took one; 0: it has none. Only of
	// types whose responses hold everything; nil: it took the last one that it answered.
	kept map[name]version
}

func newSubscription(k kind) *subscription { return &subscription{kind: k} }

// put changes what is known of a name.
func (s *subscription) put(id name, it item) { s.change(id, s.items.get(id), it) }

// change is put for who knows what was known.
func (s *subscription) change(id name, old, it item) { s.changeAt(s.items.find(id), old, it) }

// changeAt is change for who knows the name's place.
func (s *subscription) changeAt(p pending, old, it item) {
	if old == it {
		return
	}
	if old.held() {
		s.held -= old.version()
	}
	if it.held() {
		s.held += it.version()
	}
	s.asked += count(it.explicit()) - count(old.explicit())
	s.pending += count(it.pending()) - count(old.pending())
	s.items.put(p, it)
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// covers says whether the client asked for a name, by itself or with the rest.
func (s *subscription) covers(id name) bool { return s.wildcard || s.items.get(id).explicit() }

// want puts a name on the list of what to look at; with answer, the client asked,
// so it is answered even if nothing changed.
func (s *subscription) want(id name, answer bool, now time.Time, applied bool) {
	p := s.items.find(id)
	s.mark(p, s.items.of(p), 0, answer, now, applied)
}

// mark is want for who knows what was known; more is what is known besides now.
func (s *subscription) mark(p pending, old, more item, answer bool, now time.Time, applied bool) {
	if !s.due() {
		s.pendingSince, s.pendingApply = now, applied
	}
	if !old.pending() {
		s.list(p.id)
	}
	more |= itemPending
	if answer {
		more |= itemAsked
	}
	s.changeAt(p, old, old|more)
}

// maxFew is up to how many pending names are listed. More are found by looking
// through all.
const maxFew = 64

func (s *subscription) list(id name) {
	if s.pending == 0 {
		s.few = s.few[:0]
	}
	if len(s.few) <= maxFew {
		s.few = append(s.few, id)
	}
}

// allPending puts the names to look at into room, in order.
func (s *subscription) allPending(room []pending) []pending {
	switch {
	case s.pending == 0:
		return room
	case len(s.few) <= maxFew:
		for _, id := range s.few {
			if p := s.items.find(id); s.items.of(p).pending() {
				room = append(room, p)
			}
		}
		slices.SortFunc(room, pending.compare)
		return slices.Compact(room)
	}
	for i, it := range s.items.known {
		if it.pending() {
			room = append(room, pending{s.items.roster.names[i], i})
		}
	}
	if len(s.items.extra) == 0 {
		return room
	}
	for id, it := range s.items.extra {
		if it.pending() {
			room = append(room, pending{id, -1})
		}
	}
	slices.SortFunc(room, pending.compare)
	return room
}

// looked takes a name off the list of what to look at.
func (s *subscription) looked(id name) { s.put(id, s.items.get(id).looked()) }

// due says whether there is anything to look at.
func (s *subscription) due() bool { return s.owed || s.rescan || s.pending > 0 }

// askedNames are the names that the client asked for by themselves.
func (s *subscription) askedNames() []name {
	names := make([]name, 0, s.asked)
	for id, it := range s.items.all() {
		if it.explicit() {
			names = append(names, id)
		}
	}
	return names
}

// setHeld notes that the client has a version.
func (s *subscription) setHeld(id name, v version) { s.put(id, s.items.get(id).has(v)) }

// setAbsent notes that the client was told, or may conclude, that there is no
// such resource.
func (s *subscription) setAbsent(id name) {
	if it := s.items.get(id); it != 0 {
		delete(s.rejected, id)
		s.put(id, it.forgotten())
	}
}

// drop ends the explicit subscription to a name. What the wildcard covers stays
// known, and pending if it is.
func (s *subscription) drop(id name) {
	if s.wildcard {
		s.put(id, s.items.get(id)&^itemExplicit)
		return
	}
	s.put(id, 0)
	delete(s.ghosts, id)
	delete(s.rejected, id)
	delete(s.kept, id)
	delete(s.leases, id)
}

// dropWildcard ends the subscription to the type as a whole.
func (s *subscription) dropWildcard() {
	s.wildcard, s.rescan, s.owed = false, false, false
	s.dropUnasked()
	for id := range s.rejected {
		if !s.items.get(id).explicit() {
			delete(s.rejected, id) // its removal was refused
		}
	}
}

// dropUnasked forgets what the client did not ask for by itself.
func (s *subscription) dropUnasked() {
	for id, it := range s.items.all() {
		if !it.explicit() {
			s.drop(id)
		}
	}
}

// behindSince is when the oldest change happened that the client has not taken
// in; zero if there is none.
func (s *subscription) behindSince() time.Time {
	var oldest time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	if s.due() {
		earlier(s.pendingSince)
	}
	if len(s.flights) > 0 {
		earlier(s.flights[0].since)
	}
	if len(s.rejected) > 0 {
		earlier(s.rejectedAt)
	}
	return oldest
}
