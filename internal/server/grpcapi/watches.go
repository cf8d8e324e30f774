package grpcapi

import (
	"context"
	"errors"
	"sync"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// errStopping is why [API.Stop] ends a watch.
var errStopping = errors.New("the server is stopping")

// watches are those under way, so that they can be ended together.
type watches struct {
	mu      sync.Mutex
	ends    map[context.Context]context.CancelCauseFunc // guarded by mu
	stopped bool                                        // guarded by mu
}

// maxWatches bounds what idle watchers cost, as in the REST API.
const maxWatches = 1000

// begin gives the context of a watch. end has to be called when the watch is
// over, unless there are too many already.
func (w *watches) begin(parent context.Context) (ctx context.Context, end func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ends) >= maxWatches {
		return parent, nil, mesh.Unavailable(nil, "%d watches are open, which is the most", maxWatches)
	}
	ctx, cancel := context.WithCancelCause(parent)
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
	}, nil
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
