package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/lease"
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
//  3. when nothing is active any more, Envoy takes no new connections,
//  4. when nothing is active still, or the drain timeout is over, the instance is
//     deregistered, and Envoy is stopped.
//
// Each step is bounded, so that a control plane that is away delays the end by a
// few seconds at most. Hurry ends all waiting. e is nil when none runs. ctx is one
// that has not ended.
func (r *Runner) leave(ctx context.Context, e *envoy, registration *lease.Lease) {
	patient, cancel := context.WithTimeout(ctx, max(r.config.DrainTimeout, r.config.Propagation))
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

	r.log.Info("leaving: draining first", "timeout", r.config.DrainTimeout)
	told, afterwards := true, time.Duration(0)
	if e != nil && r.config.isGateway() {
		told, afterwards = r.announce(patient, e), quiet
	}
	if registration.Registered() {
		told = r.markDraining(patient, registration)
	}
	if r.config.NoRegister && r.config.takesCalls() { // whoever registered it marks it at about this moment
		sleep(patient, r.config.Propagation)
	}
	if e != nil {
		r.drain(patient, e, told, afterwards)
	}
	r.deregister(ctx, registration, told)
	if e != nil {
		e.end(r.config.Hurry)
		r.log.Info("Envoy stopped")
	}
}

// announce has a gateway fail the checks of load balancers, and asks those who are
// connected to go, while it takes what comes for a little longer. It gives false:
// what still comes then comes from those who will not hear.
func (r *Runner) announce(ctx context.Context, e *envoy) bool {
	if err := e.admin.failChecks(ctx); err != nil {
		r.log.Warn("Envoy cannot be told to fail its health checks", "error", err)
	}
	sleep(ctx, r.config.Propagation)
	return false
}

// markDraining tells callers, and gives them the time to hear of it. false: the
// control plane did not answer.
func (r *Runner) markDraining(ctx context.Context, registration *lease.Lease) bool {
	registration.Set(lease.State{Health: mesh.Draining})
	bounded, cancel := context.WithTimeout(ctx, markBound)
	defer cancel()
	if registration.Settle(bounded) {
		sleep(ctx, r.config.Propagation)
		return true
	}
	if ctx.Err() == nil {
		r.log.Warn("the control plane cannot be told that this instance drains: taking no new connections instead, for which callers go elsewhere")
	}
	return false
}

// drain asks those who are connected to go, and waits until nothing is active, and
// has not been for the given time.
func (r *Runner) drain(ctx context.Context, e *envoy, told bool, afterwards time.Duration) {
	err := e.admin.drain(ctx)
	if err == nil && told {
		// Until callers are quiet, the one who has not heard yet is still served.
		err = r.awaitIdle(ctx, e, quiet)
	}
	if err == nil {
		// From here on a connection is refused, which callers retry elsewhere, rather
		// than cut when Envoy ends.
		err = e.admin.closeInbound(ctx)
	}
	if err == nil {
		err = r.awaitIdle(ctx, e, afterwards)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		r.log.Warn("the time to drain is over: requests and connections that are still active are cut")
	default:
		r.log.Warn("Envoy cannot be drained: stopping it", "error", err)
	}
}

// awaitIdle waits until nothing has been active for the given time.
func (r *Runner) awaitIdle(ctx context.Context, e *envoy, quiet time.Duration) error {
	idleSince := time.Time{}
	for {
		active, err := e.admin.active(ctx, r.config.Bootstrap.Proxy.Intercept != nil)
		if err != nil {
			return err
		}
		switch {
		case active > 0:
			idleSince = time.Time{}
		case idleSince.IsZero():
			idleSince = time.Now()
		}
		if active == 0 && time.Since(idleSince) >= quiet {
			return nil
		}
		if !sleep(ctx, idlePoll) {
			return ctx.Err()
		}
	}
}

func (r *Runner) deregister(ctx context.Context, registration *lease.Lease, told bool) {
	registration.Set(lease.State{})
	bound := deregisterBound
	if !told {
		bound = awayBound
	}
	select {
	case <-r.config.Hurry:
		bound = hurriedBound
	default:
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if !registration.Settle(bounded) {
		r.log.Warn("the instance could not be deregistered: its registration ends by itself", "within", r.config.TTL)
	}
}
