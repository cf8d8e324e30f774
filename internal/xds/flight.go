package xds

import (
	"slices"
	"time"
)

// flight is one response that the client has not answered yet.
type flight struct {
	nonce   uint64
	at      time.Time
	since   time.Time   // of the oldest change in it
	applied bool        // it was caused by an update
	items   []sentItem  // what is new in it
	whole   []*Resource // SotW: all that is in it, if it holds everything
	version version
}

type sentItem struct {
	id      name
	version version // 0: told that it does not exist
	content version // of the resource by itself
	before  version // what the client had; 0: nothing
	origin  *Origin // nil: of something that does not exist
}

// from is the declaration that the resource was made from.
func (i sentItem) from() Origin {
	if i.origin == nil {
		return Origin{}
	}
	return *i.origin
}

// sentOf is a resource in a response to a client that had something before.
func sentOf(r *Resource, had item) sentItem {
	return sentItem{id: r.id, version: r.version, content: r.content, before: had.version(), origin: r.origin}
}

// busy says until when nothing more is sent to a client that has not answered
// what it was sent, or zero.
func (s *subscription) busy(now time.Time, patience time.Duration) time.Time {
	for len(s.flights) >= maxInFlight {
		if until := s.flights[0].at.Add(patience); now.Before(until) {
			return until
		}
		s.forgetOldest()
	}
	return time.Time{}
}

// forgetOldest gives up on an answer. What was refused before and replaced by
// this response counts as replaced, or it would stand for ever.
func (s *subscription) forgetOldest() {
	for _, one := range s.flights[0].items {
		delete(s.rejected, one.id)
	}
	s.flights = slices.Delete(s.flights, 0, 1)
}

// inFlight finds a response by its nonce.
func (s *subscription) inFlight(nonce uint64) int {
	for i := range s.flights {
		if s.flights[i].nonce == nonce {
			return i
		}
	}
	return -1
}

// settled says whether the client has taken in everything that is due of this
// type. A response that is not answered within patience no longer counts; one
// that was refused does, for as long as nothing better replaced it, because
// the client then goes on with what it had.
func (s *subscription) settled(now time.Time, patience time.Duration) (ok bool, look time.Time) {
	if s == nil {
		return true, time.Time{}
	}
	if s.due() || len(s.rejected) > 0 {
		return false, time.Time{}
	}
	if n := len(s.flights); n > 0 {
		if until := s.flights[n-1].at.Add(patience); now.Before(until) {
			return false, until
		}
	}
	return true, time.Time{}
}
