package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// states hands the latest snapshot of the fleet to whoever asks, and to those who wait.
type states struct {
	mu      sync.Mutex
	current *hosts.State // guarded by mu; never written to
	watches []*Watch     // guarded by mu
}

// set makes the next snapshot of the last one; change says whether it is another one.
func (s *states) set(change func(next *hosts.State) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.current
	if !change(&next) {
		return
	}
	next.Version++
	next.Changed = time.Now()
	s.current = &next
	for _, w := range s.watches {
		w.signal()
	}
}

// Watch hands one reader the latest snapshot: a slow one skips those in between.
type Watch struct {
	states *states
	wake   chan struct{} // capacity 1
}

// State gives the fleet as this host sees it now.
func (a *Agent) State() *hosts.State {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	return a.state.current
}

// Watch follows the fleet; its first Wait gives it as it is.
func (a *Agent) Watch() *Watch {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	w := &Watch{states: &a.state, wake: make(chan struct{}, 1)}
	w.signal()
	a.state.watches = append(a.state.watches, w)
	return w
}

// Wait blocks until there is a snapshot that the reader has not seen. It fails only
// when ctx ends.
func (w *Watch) Wait(ctx context.Context) (*hosts.State, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.wake:
		w.states.mu.Lock()
		defer w.states.mu.Unlock()
		return w.states.current, nil
	}
}

// Close ends it.
func (w *Watch) Close() {
	w.states.mu.Lock()
	defer w.states.mu.Unlock()
	w.states.watches = slices.DeleteFunc(w.states.watches, func(one *Watch) bool { return one == w })
}

func (w *Watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
