package accesslog

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// keeps says whether what a reporter told is saved: not if anybody may have made it up.
func (t *Table) keeps(name string) bool {
	r := t.find(name)
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sure
}

// unsaved is what a reporter told, without what was saved of it.
func (t *Table) unsaved(name string) mesh.Sightings {
	r := t.find(name)
	if r == nil {
		return mesh.Sightings{Reporter: name}
	}
	now := t.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := mesh.Sightings{Reporter: name, Since: r.since, Through: r.through, Lost: r.lost, Blind: r.blind, Rows: make([]mesh.Sighting, 0, len(r.rows))}
	for of, w := range r.rows {
		out.Rows = append(out.Rows, w.sighting(of, w.saved, now))
	}
	return out
}

// due says whether a reporter's rows are to be saved now.
func (t *Table) due(name string, soon time.Duration) bool {
	r := t.find(name)
	if r == nil {
		return false
	}
	now := t.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh && now.Sub(r.savedAt) >= soon || r.dirty && now.Sub(r.savedAt) >= coarse
}

// take is what is to be saved. What comes from then on is for the next time; when it
// is not saved, give it back.
func (t *Table) take(name string) (taken mesh.Sightings, giveBack func()) {
	r := t.find(name)
	if r == nil {
		return mesh.Sightings{Reporter: name}, func() {}
	}
	r.mu.Lock() // before it is read: what comes in between is saved now, and once more
	fresh, dirty := r.fresh, r.dirty
	r.fresh, r.dirty = false, false
	r.mu.Unlock()
	return t.unsaved(name), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fresh, r.dirty = r.fresh || fresh, r.dirty || dirty
	}
}

// saved notes that what [Table.take] gave was saved.
func (t *Table) saved(of mesh.Sightings) {
	r := t.find(of.Reporter)
	if r == nil {
		return
	}
	now := t.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.savedAt = now
	for _, s := range of.Rows {
		w := r.rows[peer{s.Peer, s.In}]
		if w == nil {
			continue
		}
		w.saved.requests += s.Requests
		w.saved.errors += s.Errors
		w.saved.refused += s.Refused
		w.saved.undeclared += s.Undeclared
		w.saved.there += s.There
		if w.saved != w.total {
			r.dirty = true
		}
	}
}
