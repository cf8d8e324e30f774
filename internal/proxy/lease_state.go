package proxy

import (
	"context"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What the rest of the runner sees of a lease, and may say to it: from any
// goroutine, without waiting for the registrar.

// set says what is wanted from now on. It does not wait.
func (l *lease) set(want state) {
	l.mu.Lock()
	same := l.want == want
	if !same {
		l.want = want
		l.asked++
	}
	l.mu.Unlock()
	if same {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default: // run has not seen the last one yet, and will see this one instead
	}
}

// settle waits until the registration is what is wanted, or ctx ends.
func (l *lease) settle(ctx context.Context) bool {
	for {
		l.mu.Lock()
		settled, changed := l.seen == l.asked && l.have.health == l.want.health, l.changed
		l.mu.Unlock()
		if settled {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// publish is run's: what the registration is now.
func (l *lease) publish(have state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have, l.held = have, l.epoch
	l.broadcast()
}

// broadcast wakes those who wait for changes. Call it with mu held.
func (l *lease) broadcast() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// changes gives a channel that is closed at the next change.
func (l *lease) changes() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// holding gives the epoch of the registration, and whether callers are told that
// the instance is healthy.
func (l *lease) holding() (epoch string, healthy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held, l.have.health == mesh.Healthy
}

// isThere says whether the instance is registered, in whatever health.
func (l *lease) isThere() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.have.health != ""
}
