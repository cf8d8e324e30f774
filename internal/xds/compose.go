package xds

import (
	"slices"
	"time"
)

// fate is what becomes of one pending name.
type fate int

const (
	fateNothing fate = iota // the client has it right
	fateSend                // it is sent
	fateRemove              // the client is told that it is gone, or never was
	fateKeep                // it is gone, but the client may still be using it
)

// judge decides on one pending name, of which it is known.
func (s *session) judge(sub *subscription, p pending, it item, now time.Time, v view) (f fate, r *Resource, look time.Time) {
	id, answer := p.id, it.asked()
	if !answer && !sub.wildcard && !it.explicit() && !it.held() {
		return fateNothing, nil, time.Time{}
	}
	r = s.lookupAt(sub, p, v)
	if refused, ok := sub.rejected[id]; ok {
		if sub.mended(refused, it, r, v) {
			delete(sub.rejected, id)
			if r == nil && !s.delta && sub.kind.facts().full && !sub.acknowledged {
				return fateRemove, nil, time.Time{} // it may have one from an earlier stream, which it did not tell
			}
		} else if r != nil && refused.content == r.content && !answer {
			return fateNothing, nil, time.Time{} // never again of the server's own accord
		}
	}
	if r != nil {
		if answer || !it.held() || it.version() != r.version {
			return fateSend, r, time.Time{}
		}
		s.noteHas(sub, id, r, v)
		return fateNothing, nil, time.Time{}
	}
	switch {
	case answer:
		return fateRemove, nil, time.Time{}
	case !it.held():
		return fateNothing, nil, time.Time{}
	}
	if held, look := s.keepRemoved(now, sub); held {
		return fateKeep, nil, look
	}
	return fateRemove, nil, time.Time{}
}

// noteHas notes that the client need not be sent a version that nobody has
// answered: it took it before, when it was in force already. Its answer to that
// counts, whatever else it refused since.
func (s *session) noteHas(sub *subscription, id name, r *Resource, v view) {
	if !v.doubts(sub.kind, id) {
		return
	}
	if kept, passedOver := sub.kept[id]; passedOver && kept != r.version {
		return // it was sent that version, but did not take it
	}
	for _, f := range sub.flights {
		if slices.ContainsFunc(f.items, func(one sentItem) bool { return one.id == id }) {
			return // the answer is still to come
		}
	}
	if s.has == nil {
		s.has = map[kind][]sentItem{}
	}
	s.has[sub.kind] = append(s.has[sub.kind], sentItem{id: id, version: r.version})
}

// mended says whether a refused version was replaced by what the client has.
func (s *subscription) mended(refused sentItem, it item, r *Resource, v view) bool {
	if v.refuses(s.kind, refused.id, refused.content) {
		return false
	}
	return r == nil && !it.held() && !v.withholds(s.kind, refused.id) || r != nil && r.content != refused.content && it.held() && it.version() == r.version
}

func (s *session) compose(now time.Time, sub *subscription, v view) *draft {
	if s.delta {
		return s.composeDelta(now, sub, v)
	}
	return s.composeSotW(now, sub, v)
}

// composeDelta drafts a response of what changed.
func (s *session) composeDelta(now time.Time, sub *subscription, v view) *draft {
	sub.scan(v)
	d := newDraft(sub.owed)
	for _, p := range sub.toLookAt(d) {
		it := sub.items.of(p)
		f, r, look := s.judge(sub, p, it, now, v)
		switch f {
		case fateNothing:
			sub.changeAt(p, it, it.looked())
		case fateSend:
			d.resources = append(d.resources, r)
			d.changed = append(d.changed, sentOf(r, it))
			sub.changeAt(p, it, it.looked().has(r.version))
		case fateRemove:
			d.removed = append(d.removed, p.id)
			d.changed = append(d.changed, sentItem{id: p.id})
			sub.looked(p.id)
			sub.setAbsent(p.id)
		case fateKeep:
			d.look = sooner(d.look, look)
		}
	}
	d.send = d.send || len(d.changed) > 0
	return d
}

// composeSotW drafts a response of what changed or, for the types whose
// responses hold everything, of all that is subscribed to if any of it changed.
func (s *session) composeSotW(now time.Time, sub *subscription, v view) *draft {
	d := newDraft(false)
	if s.resumes(sub, v) {
		d.pending = sub.allPending(d.pending)
		for _, p := range d.pending {
			sub.looked(p.id)
		}
		return d
	}
	sub.scan(v)
	full := sub.kind.facts().full
	d.send = sub.owed
	for _, p := range sub.toLookAt(d) {
		id, it := p.id, sub.items.of(p)
		f, r, look := s.judge(sub, p, it, now, v)
		if f == fateKeep && (!full || sub.ghosts[id] != nil) {
			d.look = sooner(d.look, look)
			continue
		}
		sub.looked(id)
		switch f {
		case fateSend:
			d.send = true
			d.changed = append(d.changed, sentOf(r, it))
			sub.setHeld(id, r.version)
			if !full {
				d.resources = append(d.resources, r)
			}
		case fateRemove:
			// Only a response that holds everything can say so, by silence.
			if full && it.held() {
				d.changed = append(d.changed, sentItem{id: id, before: it.version()})
			}
			d.send = d.send || full
			delete(sub.ghosts, id)
			sub.setAbsent(id)
		case fateKeep:
			// Its bytes are no longer known: the next response is without it.
			d.send = true
			sub.setAbsent(id)
		}
	}
	if full && d.send {
		sub.everything(d, v)
	}
	return d
}

// everything puts the full state of a subscription into a draft: what is held is
// what was there when it was last composed, so it is looked up again only for its
// bytes. What left the scope may have changed just before; then the client is
// sent that change after all, because older bytes are not kept.
func (s *subscription) everything(d *draft, v view) {
	var names []name
	for id, it := range s.items.all() {
		if it.held() {
			names = append(names, id)
		}
	}
	if len(s.items.extra) > 0 {
		sortNames(names)
	}
	d.resources = slices.Grow(d.resources, len(names))
	for _, id := range names {
		r := v.lookup(s.kind, id)
		if r == nil {
			if r = s.ghosts[id]; r == nil {
				continue
			}
			if r.version != s.items.get(id).version() {
				d.changed = append(d.changed, sentOf(r, s.items.get(id)))
				s.setHeld(id, r.version)
			}
		}
		d.resources = append(d.resources, r)
	}
}

// scan makes everything that the scope holds pending, after the type as a whole
// was subscribed to.
func (s *subscription) scan(v view) {
	if !s.rescan {
		return
	}
	s.rescan = false
	all := v.roster(s.kind)
	s.items.adopt(all)
	if s.items.roster != all {
		for _, id := range all.names {
			if it := s.items.get(id); !it.pending() {
				s.list(id)
				s.put(id, it|itemPending)
			}
		}
		return
	}
	for i, it := range s.items.known {
		if !it.pending() {
			s.list(all.names[i])
			s.items.known[i] = it | itemPending
			s.pending++
		}
	}
}

// resumes says whether a SotW client came with exactly what the scope holds. If
// so it is taken to have it: a version is a hash of the whole content, and the
// wildcard is all that it asked for (xDS protocol, "ACK/NACK and resource type
// instance version").
func (s *session) resumes(sub *subscription, v view) bool {
	if sub.resume == "" {
		return false
	}
	var all version
	names := v.roster(sub.kind).names
	for _, id := range names {
		if r := s.lookup(sub.kind, id, v); r != nil {
			all += r.version
		}
	}
	if sub.resume != all.String() {
		return false
	}
	for _, id := range names {
		if r := s.lookup(sub.kind, id, v); r != nil {
			sub.setHeld(id, r.version)
			s.noteHas(sub, id, r, v)
		}
	}
	return true
}

// toLookAt gives the pending names to look at for one draft, in order. If some
// have to be sent alone it is the first of them, and the rest is for later.
func (s *subscription) toLookAt(d *draft) []pending {
	d.pending = s.allPending(d.pending)
	if len(s.alone) == 0 {
		return d.pending
	}
	for i, p := range d.pending {
		if _, ok := s.alone[p.id]; ok {
			delete(s.alone, p.id)
			d.more = true
			return d.pending[i : i+1]
		}
	}
	s.alone = nil // they are not due any more
	return d.pending
}

// setGhost keeps what a SotW client may still be using after it left the scope.
func (s *subscription) setGhost(id name, gone *Resource, delta bool, v view) {
	if delta || !s.kind.facts().full || len(s.kind.facts().usedBy) == 0 {
		return
	}
	if v.lookup(s.kind, id) != nil {
		delete(s.ghosts, id) // it is back
		return
	}
	if gone != nil && s.items.get(id).held() {
		if s.ghosts == nil {
			s.ghosts = map[name]*Resource{}
		}
		s.ghosts[id] = gone
	}
}
