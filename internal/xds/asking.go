package xds

import (
	"slices"
	"time"
)

// deltaNames takes in the names of a delta request. They count whatever the
// nonce (xDS protocol, "Incremental xDS").
func (s *session) deltaNames(now time.Time, sub *subscription, r request, first bool, in *interest) {
	if first {
		if sub.kind.facts().full && len(r.subscribe.ids) == 0 && len(r.unsubscribe.ids) == 0 {
			sub.setWildcard(now)
		}
		s.takeInitial(now, sub, r)
	}
	s.expect(sub, len(r.subscribe.ids))
	in.wait = slices.Grow(in.wait, len(r.subscribe.ids))
	var awaited map[name]bool
	if first && sub.kind == kindEndpoint && len(r.initial) > 0 {
		awaited = s.awaited()
	}
	for _, id := range r.subscribe.ids {
		sub.named = true
		if id == wildcard {
			sub.takeUnderway(now)
			sub.setWildcard(now)
			continue
		}
		p := sub.items.find(id)
		it := sub.items.of(p)
		if !it.explicit() {
			in.wait = append(in.wait, p)
		}
		// Asked for again, it is sent again: the client may have forgotten it
		// (xDS protocol, "Subscribing to Resources").
		known := first && it.held() && !awaited[id]
		sub.mark(p, it, itemExplicit, !known, now, false)
	}
	if first && !sub.wildcard {
		sub.dropUnasked() // it said that it has it, but did not ask for it
	}
	for _, id := range r.unsubscribe.ids {
		if id == wildcard {
			sub.dropWildcard()
			continue
		}
		if !sub.items.get(id).explicit() {
			continue // a phantom: nothing to end
		}
		sub.drop(id)
		in.quit = append(in.quit, id)
		if sub.wildcard {
			// The client cannot know whether the wildcard covers the name, so it
			// is told (xDS protocol, "Unsubscribing from Resources").
			sub.want(id, true, now, false)
		}
	}
}

// takeInitial notes what a client says it has from an earlier stream. What is
// there in that version is not sent again; what is gone is removed.
func (s *session) takeInitial(now time.Time, sub *subscription, r request) {
	s.expect(sub, len(r.initial))
	for n, v := range r.initial {
		id := nameOf(n)
		sub.setHeld(id, parseVersion(v))
		sub.want(id, false, now, false)
	}
	if len(r.initial) > 0 && len(sub.kind.facts().usedBy) > 0 {
		// The client's old routes use the clusters that it has, and may be
		// asked for later on this stream: nothing is taken away before.
		sub.keepUntil = now.Add(s.patience)
	}
}

// broughtAlong gives the versions that a client says it has from an earlier
// stream: it accepted them there.
func (s *subscription) broughtAlong(r request) []sentItem {
	if !s.kind.facts().tried || len(r.initial) == 0 {
		return nil
	}
	items := make([]sentItem, 0, len(r.initial))
	for n, v := range r.initial {
		items = append(items, sentItem{id: nameOf(n), version: parseVersion(v)})
	}
	return items
}

// sotwNames takes in the names of a SotW request, which are all that the client
// wants from now on.
func (s *session) sotwNames(now time.Time, sub *subscription, r request, first bool, in *interest) {
	if len(r.names.ids) > 0 {
		sub.named = true
	}
	all := !sub.named && sub.kind.facts().full
	refused, before := len(sub.rejected) > 0, sub.asked
	wanted := make(map[name]struct{}, len(r.names.ids))
	for _, id := range r.names.ids {
		if id == wildcard {
			all = true
			continue
		}
		wanted[id] = struct{}{}
	}
	ended := sub.wildcard && !all
	if ended {
		sub.dropWildcard()
	}
	for id, it := range sub.items.all() {
		if _, still := wanted[id]; !still && it.explicit() {
			sub.drop(id)
			in.quit = append(in.quit, id)
		}
	}
	if refused && (ended || sub.asked < before) && sub.kind.facts().full {
		sub.owe(now) // all that it refused may be accepted without what it gave up
	}
	if all && !sub.wildcard {
		sub.setWildcard(now)
		if first && len(wanted) == 0 && sub.kind.facts().full {
			// A version of another type says nothing of what was refused before it.
			sub.resume = r.version
		}
	}
	for id := range wanted {
		p := sub.items.find(id)
		if it := sub.items.of(p); !it.explicit() {
			in.wait = append(in.wait, p)
			sub.mark(p, it, itemExplicit, true, now, false)
		}
	}
}

func (s *subscription) setWildcard(now time.Time) {
	if s.wildcard {
		return
	}
	s.owe(now)
	s.wildcard, s.rescan = true, true
}

// takeUnderway notes that what was given up while it was on its way will be held
// after all, under the wildcard.
func (s *subscription) takeUnderway(now time.Time) {
	if s.wildcard {
		return
	}
	for _, f := range s.flights {
		for _, one := range f.items {
			switch it := s.items.get(one.id); {
			case it.explicit():
			case one.version == 0:
				s.setAbsent(one.id)
			default:
				s.setHeld(one.id, one.version)
				s.want(one.id, false, now, false)
			}
		}
	}
}

// owe makes an answer due, even if it is empty.
func (s *subscription) owe(now time.Time) {
	if !s.due() {
		s.pendingSince, s.pendingApply = now, false
	}
	s.owed = true
}

// expect makes room for n names that come at once.
func (s *session) expect(sub *subscription, n int) {
	if n <= maxFew || s.roster == nil {
		return
	}
	if r := s.roster(sub.kind); n >= len(r.names)/8 {
		sub.items.adopt(r)
	}
}
