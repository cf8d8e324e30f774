package discovery

import (
	"context"
	"time"
)

// afterWake is when a source is looked at again that was said to have changed, and has
// not: what says so may be ahead of what is listed.
var afterWake = []time.Duration{5 * time.Second, 15 * time.Second, 45 * time.Second}

func lookAgain(left []time.Duration, woken bool, o outcome) []time.Duration {
	switch {
	case o.changed || o.failed:
		return nil
	case woken:
		return afterWake
	}
	return left
}

// await waits until the next refresh is due, or is asked for and at least some time has
// passed. What asked for it until then is answered by that one refresh.
func (r *Refresher) await(ctx context.Context, wait, least time.Duration) (woken, goOn bool) {
	earliest := time.Now().Add(least)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for !woken {
		select {
		case <-ctx.Done():
			return false, false
		case <-timer.C:
			return r.unanswered(), true
		case <-r.wake:
			woken = r.unanswered()
		}
	}
	return true, sleep(ctx, max(time.Until(earliest), min(settle, least)))
}

// unanswered says whether a refresh is asked for that none has begun after.
func (r *Refresher) unanswered() bool {
	return r.asked.Load() != r.status.Answered && r.asked.Load() != 0
}
