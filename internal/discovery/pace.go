package discovery

import "time"

// Pace is how often a source is asked. Zero values are replaced by defaults.
type Pace struct {
	// Interval is the time between refreshes of a source that changes; default 30 s.
	Interval time.Duration
	// Longest is the time between refreshes of a source that has not changed for long, and
	// of what fails, be it the source or a scope; default 2 minutes, at least Interval.
	Longest time.Duration
	// StaleAfter is for how long a scope's machines may be unconfirmed before they are told
	// to be stale; default an hour, at least four times Longest. It removes nothing.
	StaleAfter time.Duration
}

// The bounds of a pace.
const (
	DefaultInterval = 30 * time.Second
	DefaultLongest  = 2 * time.Minute
	DefaultStale    = time.Hour
	// longestWait bounds what a source can ask for with Retry-After.
	longestWait = time.Hour
	// settle is how soon after a refresh the next one may come that was asked for: what
	// comes in a burst is looked at once.
	settle = time.Second
)

// WithDefaults fills in what is not said.
func (p Pace) WithDefaults() Pace {
	if p.Interval == 0 {
		p.Interval = DefaultInterval
	}
	if p.Longest == 0 {
		p.Longest = DefaultLongest
	}
	p.Longest = max(p.Longest, p.Interval)
	if p.StaleAfter == 0 {
		p.StaleAfter = max(DefaultStale, 4*p.Longest)
	}
	return p
}

// slower is how the time between refreshes grows while nothing changes, and while a
// source fails.
const (
	quietFactor = 1.25
	failFactor  = 2
)

// outcome is what a refresh came to, as far as the pace of the next depends on it.
type outcome struct {
	changed bool          // or seems to have: what is held is looked at again soon
	failed  bool          // as a whole, or no scope could be listed
	after   time.Duration // for how long all of it wants to be left alone
}

// next is the time from the end of a refresh to the next, after one that waited for
// before. jitter is from 0 to 1: servers and sources that began together drift apart.
func (p Pace) next(before time.Duration, o outcome, jitter float64) (base, wait time.Duration) {
	base = max(before, p.Interval)
	switch {
	case o.failed:
		base *= failFactor
	case o.changed || before == 0:
		base = p.Interval
	default:
		base = time.Duration(float64(base) * quietFactor)
	}
	base = min(base, p.Longest)
	wait = base + time.Duration(float64(base)*(jitter-0.5)/5) // ±10 %
	return base, max(wait, min(o.after, longestWait))
}
