package accesslog

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// watch notes that reports of it are taken.
func (r *reporter) watch(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() || now.Sub(r.through) > mesh.WatchGap {
		r.since, r.fresh = now, true
	}
	r.through, r.dirty = now, true
}

// watchOpen notes that those with streams are watched still.
func (t *Table) watchOpen() {
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.reporters {
		if r.streams > 0 {
			r.watch(now)
		}
	}
}

// watching says whether a reporter is watched by this server.
func (t *Table) watching(name string) bool {
	r := t.find(name)
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.since.IsZero() && t.now().Sub(r.through) <= mesh.WatchGap
}

// note changes what is known of a reporter, if there is room for it.
func (t *Table) note(name string, change func(r *reporter, now time.Time)) {
	sure, now := t.known(name), t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.of(name, sure); r != nil {
		change(r, now)
	}
}

// isBlind notes that a reporter has clients that report nothing.
func (r *reporter) isBlind(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = r.fresh || r.blind.IsZero()
	r.blind, r.dirty = now, true
}

// loses notes that reports of it were refused.
func (r *reporter) loses(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = r.fresh || r.lost.IsZero()
	r.lost, r.dirty = now, true
}

// loseAll notes that reports were refused that may have been anybody's.
func (t *Table) loseAll() {
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.reporters {
		r.loses(now)
	}
}
