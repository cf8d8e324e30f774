package stage

import (
	"context"
	"fmt"
	"time"
)

// pollInterval is the pause between two looks at something that is waited for.
const pollInterval = 10 * time.Millisecond

// Poll looks until look gives nil. What look said last is in the error when
// that did not happen in time.
func Poll(ctx context.Context, within time.Duration, what string, look func(context.Context) error) error {
	return PollEach(ctx, pollInterval, within, what, look)
}

// PollEach is Poll with a pause of one's own; 0 is none.
func PollEach(ctx context.Context, pause, within time.Duration, what string, look func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last error
	for {
		select {
		case <-timer.C:
		case <-bounded.Done():
			switch {
			case ctx.Err() != nil:
				return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
			case last == nil:
				return fmt.Errorf("%s: not within %s", what, within)
			}
			return fmt.Errorf("%s: not within %s; at last: %w", what, within, last)
		}
		err := look(bounded)
		if err == nil {
			return nil
		}
		if bounded.Err() == nil { // else err may only say that time is up
			last = err
		}
		timer.Reset(pause)
	}
}
