package proxy

import (
	"log/slog"
	"regexp"
	"sync"
	"time"
)

const (
	// repeatEvery is how often a warning is logged that goes on and on.
	repeatEvery = time.Minute
	// repeatOver is how long it must not have come to be over. Envoy's pauses
	// between two attempts are at most reconnectMax, and a second more to fail.
	repeatOver = 5 * time.Second
	// mostRepeats bounds how many different ones are remembered.
	mostRepeats = 32
)

// sinceAgo is what differs between two reports of the same lost stream.
var sinceAgo = regexp.MustCompile(` since \d+s ago`)

// repeats keeps the same warning of Envoy's from filling the log: each attempt
// to get a stream that the control plane refuses is one. It is logged once, once
// a minute while it lasts, and once when it is over.
type repeats struct {
	mu    sync.Mutex
	known map[string]*repeated // guarded by mu; by the message without what differs
}

type repeated struct {
	logged, last time.Time
	left         int // how many were left out since it was logged
}

// pass says whether a message is to be logged, and how many like it were not
// since the last one that was.
func (r *repeats) pass(message string, now time.Time) (ok bool, left int) {
	key := sinceAgo.ReplaceAllString(message, "")
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.known[key]
	switch {
	case one == nil:
		if len(r.known) < mostRepeats {
			if r.known == nil {
				r.known = map[string]*repeated{}
			}
			r.known[key] = &repeated{logged: now, last: now}
		}
		return true, 0
	case now.Sub(one.logged) >= repeatEvery:
		left, one.left, one.logged, one.last = one.left, 0, now, now
		return true, left
	}
	one.left, one.last = one.left+1, now
	return false, 0
}

// over tells of those that no longer come, and forgets them.
func (r *repeats) over(now time.Time, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, one := range r.known {
		if now.Sub(one.last) < repeatOver {
			continue
		}
		delete(r.known, key)
		if one.left > 0 {
			log.Info("Envoy no longer says this", "what", key, "leftOut", one.left, "from", "envoy")
		}
	}
}
