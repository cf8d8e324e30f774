package grpcapi

import (
	"context"
	"errors"
	"sync"
)

// errStopping is why [API.Stop] ends a watch.
var errStopping = errors.New("the server is stopping")

// watches are those under way, so that they can be ended together.
type watches struct {
	mu      sync.Mutex
	ends    map[context.Context]context.CancelCauseFunc // guarded by mu
	stopped bool                                        // guarded by mu
}

// begin gives the context of a watch. end has to be called when the watch is over.
func (w *watches) begin(parent context.Context) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(parent)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		cancel(errStopping)
	}
	if w.ends == nil {
		w.ends = map[context.Context]context.CancelCauseFunc{}
	}
	w.ends[ctx] = cancel
	return ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.ends, ctx)
		cancel(nil)
	}
}

// stop ends all watches, and those that begin later.
func (w *watches) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for _, cancel := range w.ends {
		cancel(errStopping)
	}
}
