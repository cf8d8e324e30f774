package stage

import (
	"context"
	"fmt"
)

// Guard gives a context that also ends when a process that is sent to died has ended
// unasked, or fail is called; why is its cause. release ends it, and waits.
func Guard(ctx context.Context) (guarded context.Context, died chan *Process, fail context.CancelCauseFunc, release func()) {
	guarded, fail = context.WithCancelCause(ctx)
	died = make(chan *Process, 1)
	watched := make(chan struct{})
	go func() { // ends with guarded
		defer close(watched)
		select {
		case p := <-died:
			fail(p.Ended())
		case <-guarded.Done():
		}
	}()
	return guarded, died, fail, func() {
		fail(nil)
		<-watched
	}
}

// ErrInterrupted is why a scenario was not played to its end.
var ErrInterrupted = fmt.Errorf("interrupted: the scenario was not played to its end: %w", context.Canceled)
