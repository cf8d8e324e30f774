package health

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// A service that fell from healthy to unhealthy more than mostFalls times, each within
// calm of the one before, is held unhealthy: for firstHold, and twice as long each time
// that it falls again before it was calm, up to longestHold.
const (
	mostFalls   = 3
	calm        = 2 * time.Minute
	firstHold   = 10 * time.Second
	longestHold = 5 * time.Minute
	// reasonEvery is how often other hosts are told another reason of what is unhealthy
	// all the same.
	reasonEvery = time.Minute
)

// verdict is what other hosts are told.
type verdict struct {
	Health hosts.Health
	Reason string // of what is not healthy
}

// judge is what is known of one service from the outcomes of its checks. Durations are
// measured from when outcomes came, by a clock that only goes forward.
type judge struct {
	verdict
	healthy, unhealthy int // so many outcomes in a row that are the same decide

	streak int       // of successes, or below 0 of failures
	told   time.Time // when the reason was last another
	falls  int       // since it was calm last
	holds  int
	quiet  time.Time     // when it fell last, or its hold ended
	hold   time.Duration // the one that it is in, or was last
}

func newJudge(check hosts.Check) judge {
	return judge{
		verdict: verdict{Health: cmp.Or(check.Initial, hosts.Unknown)},
		healthy: max(check.Healthy, 1), unhealthy: max(check.Unhealthy, 1),
	}
}

// hear takes an outcome: "" is a success, anything else why it failed. It says whether
// the verdict is another one now.
func (j *judge) hear(failure string, now time.Time) bool {
	if failure == "" {
		j.streak = max(j.streak, 0) + 1
		if j.Health == hosts.Healthy || j.streak < j.healthy || j.held(now) {
			return false
		}
		j.verdict = verdict{Health: hosts.Healthy}
		return true
	}
	j.streak = min(j.streak, 0) - 1
	switch {
	case j.Health == hosts.Unhealthy:
		if j.held(now) || now.Sub(j.told) < reasonEvery || alike(failure, j.Reason) {
			return false
		}
	case -j.streak < j.unhealthy:
		return false
	}
	fell := j.Health == hosts.Healthy
	j.verdict, j.told = verdict{Health: hosts.Unhealthy, Reason: failure}, now
	if fell && j.fall(now) {
		j.Reason = hosts.ShortReason(fmt.Sprintf("held for %s, as it changes too often: %s", j.hold, failure))
	}
	return true
}

// held says whether it changed too often, and has to wait.
func (j *judge) held(now time.Time) bool { return j.hold > 0 && now.Before(j.quiet) }

// fall counts that a healthy service became unhealthy, and says whether it is held.
func (j *judge) fall(now time.Time) bool {
	if now.Sub(j.quiet) > calm {
		j.falls, j.holds = 0, 0
	}
	j.falls++
	j.quiet, j.hold = now, 0
	if j.falls <= mostFalls {
		return false
	}
	j.hold = firstHold
	for range j.holds {
		j.hold = min(2*j.hold, longestHold)
	}
	if j.hold < longestHold {
		j.holds++
	}
	j.quiet = now.Add(j.hold)
	return true
}

// alike says whether two reasons differ in numbers at most, such as in how long
// something took.
func alike(a, b string) bool { return withoutNumbers(a) == withoutNumbers(b) }

func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}
