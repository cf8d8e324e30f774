package mesh

import (
	"cmp"
	"slices"
	"time"
)

// Sightings are what the proxies of one service or gateway saw of calls.
type Sightings struct {
	Reporter string `json:"reporter"` // a service, or gateway/NAME
	// Since is when reports of it began to be taken without a gap, and Through when
	// they were last; Lost is when some were refused last.
	Since   time.Time `json:"since,omitzero"`
	Through time.Time `json:"through,omitzero"`
	Lost    time.Time `json:"lost,omitzero"`
	// Blind is when somebody of it was last seen that reports nothing: a gRPC library.
	Blind time.Time  `json:"blind,omitzero"`
	Rows  []Sighting `json:"rows,omitempty"`
}

// WatchGap is how long nobody may watch a reporter for it to count as watched all the
// time: more than the hour between two saves, and a while for servers to be replaced.
const WatchGap = 2 * time.Hour

// Sighting is what proxies saw of the calls between theirs and a peer.
type Sighting struct {
	Peer string `json:"peer"`
	// In says that the peer calls; else it is called.
	In bool `json:"in,omitempty"`

	Requests   uint64 `json:"requests,omitempty"`
	Errors     uint64 `json:"errors,omitempty"`
	Refused    uint64 `json:"refused,omitempty"`
	Undeclared uint64 `json:"undeclared,omitempty"`
	// There are the refusals that the peer's proxy told of, which may report them, too.
	There uint64 `json:"there,omitempty"`

	FirstSeen   time.Time `json:"firstSeen,omitzero"`
	LastSeen    time.Time `json:"lastSeen,omitzero"`
	LastRefused time.Time `json:"lastRefused,omitzero"`
	Reason      string    `json:"reason,omitempty"` // of the last refusal
	// LastAnswered is when one came back that was neither refused nor an error, and
	// LastFailed when an error did, with what its caller saw.
	LastAnswered time.Time `json:"lastAnswered,omitzero"`
	LastFailed   time.Time `json:"lastFailed,omitzero"`
	Failure      string    `json:"failure,omitempty"`

	// Over the last minute; not kept.
	Rate        float64 `json:"rate,omitempty"`
	ErrorRate   float64 `json:"errorRate,omitempty"`
	RefusedRate float64 `json:"refusedRate,omitempty"`
	ThereRate   float64 `json:"thereRate,omitempty"`
}

// Add adds what another saw of the same peer.
func (s *Sighting) Add(more Sighting) {
	s.Requests += more.Requests
	s.Errors += more.Errors
	s.Refused += more.Refused
	s.Undeclared += more.Undeclared
	s.There += more.There
	s.Rate += more.Rate
	s.ErrorRate += more.ErrorRate
	s.RefusedRate += more.RefusedRate
	s.ThereRate += more.ThereRate
	s.FirstSeen = earlier(s.FirstSeen, more.FirstSeen)
	s.LastSeen = later(s.LastSeen, more.LastSeen)
	if more.LastRefused.After(s.LastRefused) {
		s.LastRefused, s.Reason = more.LastRefused, more.Reason
	}
	s.LastAnswered = later(s.LastAnswered, more.LastAnswered)
	if more.LastFailed.After(s.LastFailed) {
		s.LastFailed, s.Failure = more.LastFailed, more.Failure
	}
}

// Add adds what others of the same service or gateway saw. Of more rows than most
// those go that are of no known peer, and of these that were seen longest ago.
func (s *Sightings) Add(more Sightings, most int, known func(peer string) bool) {
	s.join(more)
	s.Blind = later(s.Blind, more.Blind)
	type key struct {
		peer string
		in   bool
	}
	at := make(map[key]int, len(s.Rows))
	rows := slices.Clone(s.Rows)
	for i := range rows {
		at[key{rows[i].Peer, rows[i].In}] = i
	}
	for _, one := range more.Rows {
		if i, is := at[key{one.Peer, one.In}]; is {
			rows[i].Add(one)
		} else {
			rows = append(rows, one)
		}
	}
	if len(rows) > most {
		slices.SortFunc(rows, func(a, b Sighting) int {
			return cmp.Or(compareBool(known(b.Peer), known(a.Peer)), b.LastSeen.Compare(a.LastSeen))
		})
		rows = rows[:most]
	}
	slices.SortFunc(rows, func(a, b Sighting) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), compareBool(a.In, b.In)) })
	s.Rows = rows
}

// join adds when others watched. Before a gap nothing counts as watched.
func (s *Sightings) join(more Sightings) {
	first, second := *s, more
	if first.Since.IsZero() || !second.Since.IsZero() && second.Since.Before(first.Since) {
		first, second = second, first
	}
	s.Since, s.Through, s.Lost = first.Since, later(first.Through, second.Through), later(first.Lost, second.Lost)
	if second.Since.Sub(later(first.Since, first.Through)) > WatchGap {
		s.Since = second.Since
	}
	if !s.Since.IsZero() {
		s.Since = later(s.Since, s.Lost)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Until takes times after now for now: a clock that was ahead once is not to tell of
// what is to come, for as long as that is kept.
func (s Sightings) Until(now time.Time) Sightings {
	clamp := func(at *time.Time) bool {
		after := at.After(now)
		if after {
			*at = now
		}
		return after
	}
	for _, at := range []*time.Time{&s.Since, &s.Through, &s.Lost, &s.Blind} {
		clamp(at)
	}
	rows := s.Rows
	for i := range rows {
		row, changed := rows[i], false
		for _, at := range []*time.Time{&row.FirstSeen, &row.LastSeen, &row.LastRefused, &row.LastAnswered, &row.LastFailed} {
			changed = clamp(at) || changed
		}
		if changed {
			if &rows[0] == &s.Rows[0] {
				rows = slices.Clone(rows) // somebody else's
			}
			rows[i] = row
		}
	}
	s.Rows = rows
	return s
}
