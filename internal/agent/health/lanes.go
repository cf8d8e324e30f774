package health

import "context"

// lanes bound how many checks are made at a time, of all sources together. Those of
// services that answered late the last time have half of the places at most: however many
// hang, the others are checked in time. Who waits is served in order.
type lanes struct {
	all   chan struct{} // for any check
	quick chan struct{} // for those that answered in time
}

func newLanes(workers int) lanes {
	all := max(workers/2, 1)
	return lanes{all: make(chan struct{}, all), quick: make(chan struct{}, max(workers-all, 1))}
}

// enter waits for a place, and gives what leaves it; nil: ctx ended.
func (l lanes) enter(ctx context.Context, late bool) func() {
	quick := l.quick
	if late {
		quick = nil
	}
	select {
	case quick <- struct{}{}:
		return func() { <-quick }
	case l.all <- struct{}{}:
		return func() { <-l.all }
	case <-ctx.Done():
		return nil
	}
}
