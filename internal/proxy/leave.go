package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	idlePoll = 50 * time.Millisecond
	// quiet is how long nothing may have been active before it counts as idle: a
	// caller between two requests of one exchange is not gone.
	quiet = 200 * time.Millisecond
)

// leave takes the instance out of the mesh so that no request fails:
//
//  1. the instance is marked as draining: callers stop choosing it,
//  2. once they can all have heard of it, Envoy asks those who are still
//     connected to go (Connection: close, GOAWAY),
//  3. when nothing is active any more, or the drain timeout is over, the instance
//     is deregistered,
//  4. Envoy is stopped.
//
// Each step is bounded, so that a control plane that is away delays the end by a
// few seconds at most. Hurry ends all waiting. envoy is nil when none runs.
func (r *Runner) leave(e *envoy, registration *lease) {
	patient, cancel := context.WithTimeout(context.Background(), max(r.config.DrainTimeout, r.config.Propagation))
	var hurry sync.WaitGroup
	hurry.Go(func() {
		select {
		case <-r.config.Hurry:
			cancel()
		case <-patient.Done():
		}
	})
	defer hurry.Wait()
	defer cancel()

	if registration.isThere() {
		r.markDraining(patient, registration)
	}
	if e != nil {
		r.drain(patient, e)
	}
	r.deregister(registration)
	if e != nil {
		e.end(r.config.Hurry)
		r.log.Info("Envoy stopped")
	}
}

// markDraining tells callers, and gives them the time to hear of it.
func (r *Runner) markDraining(ctx context.Context, registration *lease) {
	r.log.Info("leaving: draining first", "timeout", r.config.DrainTimeout)
	registration.set(state{health: mesh.Draining})
	bounded, cancel := context.WithTimeout(ctx, markBound)
	defer cancel()
	if !registration.settle(bounded) {
		if ctx.Err() == nil {
			r.log.Warn("the control plane cannot be told that this instance drains: callers hear of it from Envoy alone")
		}
		return
	}
	sleep(ctx, r.config.Propagation)
}

// drain asks those who are connected to go, and waits until nothing is active.
func (r *Runner) drain(ctx context.Context, e *envoy) {
	if err := e.admin.drain(ctx); err != nil {
		r.log.Warn("Envoy does not drain: stopping it", "error", err)
		return
	}
	idleSince := time.Time{}
	for {
		active, err := e.admin.active(ctx)
		switch {
		case ctx.Err() != nil:
			r.log.Warn("the time to drain is over: requests and connections that are still active are cut")
			return
		case err != nil:
			r.log.Warn("Envoy does not say what is active: stopping it", "error", err)
			return
		case active > 0:
			idleSince = time.Time{}
		case idleSince.IsZero():
			idleSince = time.Now()
		case time.Since(idleSince) >= quiet:
			return
		}
		sleep(ctx, idlePoll)
	}
}

func (r *Runner) deregister(registration *lease) {
	registration.set(state{})
	bound := deregisterBound
	select {
	case <-r.config.Hurry:
		bound = hurriedBound
	default:
	}
	bounded, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if !registration.settle(bounded) {
		r.log.Warn("the instance could not be deregistered: its registration ends by itself", "within", r.config.TTL)
	}
}
