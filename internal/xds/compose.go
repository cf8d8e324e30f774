package xds

import (
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

// judge decides on one pending name.
func (s *session) judge(sub *subscription, id name, answer bool, now time.Time, v view) (f fate, r *Resource, look time.Time) {
	if !answer && !sub.covers(id) && !sub.items[id].held() {
		return fateNothing, nil, time.Time{}
	}
	it := sub.items[id]
	r = s.lookup(sub.kind, id, v)
	if sub.mended(id, r, v) {
		delete(sub.rejected, id)
	}
	if r != nil {
		if refused, ok := sub.rejected[id]; ok && refused.content == r.content && !answer {
			return fateNothing, nil, time.Time{} // never again of the server's own accord
		}
		if answer || !it.held() || it.version() != r.version {
			return fateSend, r, time.Time{}
		}
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

// mended says whether a refused version was replaced by what the client has.
func (s *subscription) mended(id name, r *Resource, v view) bool {
	refused, ok := s.rejected[id]
	if !ok || v.refuses(s.kind, id, refused.content) {
		return false
	}
	it := s.items[id]
	return r == nil && !it.held() || r != nil && r.content != refused.content && it.held() && it.version() == r.version
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
	d := &draft{send: sub.owed}
	names := sub.pendingNames(d, v)
	d.resources, d.changed = make([]*Resource, 0, len(names)), make([]sentItem, 0, len(names))
	for _, id := range names {
		answer := sub.pending[id]
		f, r, look := s.judge(sub, id, answer, now, v)
		switch f {
		case fateSend:
			d.resources = append(d.resources, r)
			d.changed = append(d.changed, sentItem{id: id, version: r.version, content: r.content, before: sub.items[id].version(), origin: r.origin})
			sub.setHeld(id, r.version)
		case fateRemove:
			d.removed = append(d.removed, id)
			d.changed = append(d.changed, sentItem{id: id})
			sub.setAbsent(id)
		case fateKeep:
			d.keep(id, answer, look)
		}
	}
	d.send = d.send || len(d.changed) > 0
	return d
}

// composeSotW drafts a response of what changed or, for the types whose
// responses hold everything, of all that is subscribed to if any of it changed.
func (s *session) composeSotW(now time.Time, sub *subscription, v view) *draft {
	if s.resumes(sub, v) {
		return &draft{}
	}
	sub.scan(v)
	full := sub.kind.facts().full
	d := &draft{send: sub.owed}
	for _, id := range sub.pendingNames(d, v) {
		answer := sub.pending[id]
		f, r, look := s.judge(sub, id, answer, now, v)
		switch f {
		case fateSend:
			d.send = true
			d.changed = append(d.changed, sentItem{id: id, version: r.version, content: r.content, before: sub.items[id].version(), origin: r.origin})
			sub.setHeld(id, r.version)
			if !full {
				d.resources = append(d.resources, r)
			}
		case fateRemove:
			// Only a response that holds everything can say so, by silence.
			d.send = d.send || full
			delete(sub.ghosts, id)
			sub.setAbsent(id)
		case fateKeep:
			if full && sub.ghosts[id] == nil {
				// Its bytes are no longer known: the next response is without it.
				d.send = true
				sub.setAbsent(id)
				continue
			}
			d.keep(id, answer, look)
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
	names := make([]name, 0, len(s.items))
	for id, it := range s.items {
		if it.held() {
			names = append(names, id)
		}
	}
	sortNames(names)
	d.resources = make([]*Resource, 0, len(names))
	for _, id := range names {
		r := v.lookup(s.kind, id)
		if r == nil {
			if r = s.ghosts[id]; r == nil {
				continue
			}
			if r.version != s.items[id].version() {
				d.changed = append(d.changed, sentItem{id: id, version: r.version, content: r.content, before: s.items[id].version(), origin: r.origin})
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
	names := v.names(s.kind)
	s.expect(len(names))
	if s.pending == nil {
		s.pending = map[name]bool{}
	}
	for _, id := range names {
		if _, due := s.pending[id]; !due {
			s.pending[id] = false
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
	names := v.names(sub.kind)
	for _, id := range names {
		all += s.lookup(sub.kind, id, v).version
	}
	if sub.resume != all.String() {
		return false
	}
	for _, id := range names {
		sub.setHeld(id, s.lookup(sub.kind, id, v).version)
	}
	return true
}

// pendingNames gives the names to look at for one draft, in order. If some have
// to be sent alone it is the first of them, and the rest is kept for later.
func (s *subscription) pendingNames(d *draft, v view) []name {
	if many := len(s.pending); many > 64 && len(s.alone) == 0 {
		if names := v.inOrder(s.kind, s.pending); len(names) == many {
			return names
		}
	}
	names := make([]name, 0, len(s.pending))
	for id := range s.pending {
		if _, ok := s.alone[id]; ok || len(s.alone) == 0 {
			names = append(names, id)
		}
	}
	if len(s.alone) > 0 && len(names) == 0 {
		s.alone = nil // they are not due any more
		return s.pendingNames(d, v)
	}
	sortNames(names)
	if len(s.alone) == 0 {
		return names
	}
	delete(s.alone, names[0])
	for id, answer := range s.pending {
		if id != names[0] {
			d.keep(id, answer, time.Time{})
		}
	}
	d.more = true
	return names[:1]
}

// setGhost keeps what a SotW client may still be using after it left the scope.
func (s *subscription) setGhost(id name, gone *Resource, delta bool) {
	if delta || !s.kind.facts().full || len(s.kind.facts().usedBy) == 0 {
		return
	}
	if gone == nil {
		delete(s.ghosts, id)
		return
	}
	if s.items[id].held() {
		if s.ghosts == nil {
			s.ghosts = map[name]*Resource{}
		}
		s.ghosts[id] = gone
	}
}
