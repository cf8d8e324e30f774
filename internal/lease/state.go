package lease

import (
	"context"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What others see of a lease, and may say to it: from any
// goroutine, without waiting for the registrar.

// Set says what is wanted from now on. It does not wait.
func (l *Lease) Set(want State) {
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

// Take has the lease look at once whether another registration has the id, and take it
// back if so. It is for who knows that the other one does not do the same.
func (l *Lease) Take() {
	l.mu.Lock()
	asked := l.take
	l.take = true
	l.mu.Unlock()
	if asked {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Contested says whether another registration has taken the id.
func (l *Lease) Contested() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// Settle waits until the registration is what is wanted, or ctx ends.
func (l *Lease) Settle(ctx context.Context) bool {
	for {
		l.mu.Lock()
		settled, changed := l.seen == l.asked && l.have.Health == l.want.Health, l.changed
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

// publish is Run's: what the registration is now.
func (l *Lease) publish(have State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have, l.held, l.taken = have, l.epoch, l.contested
	l.broadcast()
}

// has is Run's: the id is this lease's.
func (l *Lease) has() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take = false
}

// broadcast wakes those who wait for changes. Call it with mu held.
func (l *Lease) broadcast() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Changes gives a channel that is closed at the next change.
func (l *Lease) Changes() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Holding gives the epoch of the registration, and whether callers are told that
// the instance is healthy.
func (l *Lease) Holding() (epoch string, healthy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held, l.have.Health == mesh.Healthy
}

// Registered says whether the instance is registered, in whatever health.
func (l *Lease) Registered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.have.Health != ""
}
