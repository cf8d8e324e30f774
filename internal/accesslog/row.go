package accesslog

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

type peer struct {
	name string
	in   bool
}

// counts are of one row since the server started, and of them what was saved.
type counts struct{ requests, errors, refused, undeclared, there uint64 }

func (c *counts) add(s *seen) {
	c.requests += one(s.counted)
	c.errors += one(s.failed)
	c.refused += one(s.refused)
	c.undeclared += one(s.undeclared)
	c.there += one(s.there)
}

func one(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

type row struct {
	total, saved             counts
	recent                   ring
	first, last, lastRefused time.Time
	lastAnswered, lastFailed time.Time
	reason, failure          string
	unknown                  bool
}

// seen is one call as it is counted.
type seen struct {
	peer
	counted, failed, refused, undeclared, there bool
	unanswered                                  bool   // its client did not wait
	reason                                      string // of a refusal
	failure                                     string // what the caller saw of an error
}

// counted counts a row that was made or dropped.
func (t *Table) counted(r *reporter, w *row, by int64) {
	t.rows.Add(by)
	switch {
	case !r.sure:
		t.strange.Add(by)
	case w.unknown:
		t.hosts.Add(by)
	}
}

// add counts calls that one reporter told of, all at once.
func (t *Table) add(r *reporter, calls []seen) {
	now := t.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range calls {
		t.row(r, &calls[i], now).count(&calls[i], now, r)
	}
	r.dirty = r.dirty || len(calls) > 0
}

// row finds the row of a call, or makes it if there is room.
func (t *Table) row(r *reporter, s *seen, now time.Time) *row {
	found := r.rows[s.peer]
	if found != nil {
		return found
	}
	unknown := !t.known(s.name)
	if s.name != Other && (len(r.rows) >= maxPeers || unknown && r.unknown >= maxUnknown || t.full(r, unknown)) {
		s.name = Other
		return t.row(r, s, now)
	}
	made := &row{first: now, unknown: unknown && s.name != Other}
	r.unknown += int(one(made.unknown))
	r.rows[s.peer] = made
	r.fresh = true
	t.counted(r, made, 1)
	return made
}

// full says whether there is no room for a row. Strangers have little, of their own,
// and peers that nobody declared at most half of it.
func (t *Table) full(r *reporter, unknown bool) bool {
	strange := t.strange.Load()
	if !r.sure {
		return strange >= maxStrangerRows
	}
	return t.rows.Load()-strange >= maxRows || unknown && t.hosts.Load() >= maxRows/2
}

func (w *row) count(s *seen, now time.Time, r *reporter) {
	w.total.add(s)
	w.recent.add(s, now)
	w.last = now
	if s.refused {
		r.fresh = r.fresh || w.lastRefused.IsZero()
		w.lastRefused, w.reason = now, s.reason
	}
	switch {
	case s.failed:
		w.lastFailed, w.failure = now, s.failure
	case s.counted && !s.refused && !s.unanswered:
		w.lastAnswered = now
	}
}

func (w *row) sighting(of peer, since counts, now time.Time) mesh.Sighting {
	out := mesh.Sighting{
		Peer: of.name, In: of.in,
		Requests: w.total.requests - since.requests, Errors: w.total.errors - since.errors, Refused: w.total.refused - since.refused,
		Undeclared: w.total.undeclared - since.undeclared, There: w.total.there - since.there,
		FirstSeen: w.first, LastSeen: w.last, LastRefused: w.lastRefused, Reason: w.reason,
		LastAnswered: w.lastAnswered, LastFailed: w.lastFailed, Failure: w.failure,
	}
	w.recent.rates(&out, now)
	return out
}
