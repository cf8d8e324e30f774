package discovery

import (
	"errors"
	"time"
)

// memory is what a refresher remembers of a scope between refreshes.
type memory struct {
	success time.Time
	held    time.Time // since when it is in doubt; zero: it is not
	empty   int       // how often in a row it was empty although machines are known
	since   time.Time // the first of these times

	// Of a scope that fails, or is in doubt; the others go on at the source's pace.
	fault     string
	base      time.Duration // between the times that it is asked
	due       time.Time     // when it is asked again, unless the source is woken
	notBefore time.Time     // when it wants to be asked again, woken or not
}

// listed takes note of how a scope did.
func (m *memory) listed(scope *Scope, pace Pace, now time.Time) {
	if scope.Rests {
		return
	}
	why := scope.Err
	if why == nil {
		why, m.base, m.due = scope.Doubt, 0, time.Time{}
	} else {
		m.base, _ = pace.next(m.base, outcome{failed: true}, 0)
		m.due = now.Add(m.base)
	}
	m.fault, m.notBefore = "", time.Time{}
	if why != nil {
		m.fault = why.Error()
	}
	if throttled := (*Throttled)(nil); errors.As(why, &throttled) && throttled.After > 0 {
		m.notBefore = now.Add(min(throttled.After, longestWait))
	}
}

// rests says whether a scope is left out of a refresh. A source that is woken has all asked
// that may be. A refresh comes up to a tenth early, by its jitter.
func (m *memory) rests(now time.Time, woken bool) bool {
	return now.Before(m.notBefore) || !woken && now.Before(m.due.Add(-m.base/5))
}

// resting is which scopes are left out of a refresh.
func (r *Refresher) resting(now time.Time, woken bool) Rest {
	rest := Rest{}
	for name, m := range r.remembered {
		if m.rests(now, woken) {
			rest[name] = true
		}
	}
	return rest
}

// listed takes note of how the scopes did. It says whether none could be listed, and for
// how long all of them want to be left alone.
func (r *Refresher) listed(scopes []Scope, now time.Time) (none bool, alone time.Duration) {
	none, alone = len(scopes) > 0, longestWait
	for i := range scopes {
		m := r.remembered[scopes[i].Name]
		m.listed(&scopes[i], r.cfg.Source.Pace, now)
		r.remembered[scopes[i].Name] = m
		none = none && (scopes[i].Err != nil || scopes[i].Rests)
		alone = min(alone, max(m.notBefore.Sub(now), 0))
	}
	if len(scopes) == 0 {
		return false, 0
	}
	return none, alone
}
