package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/internal/lease"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// How often Envoy and the application are looked at.
const (
	startPoll  = 20 * time.Millisecond // while callers wait for the instance
	slowPoll   = 250 * time.Millisecond
	steadyPoll = time.Second
	// A start that takes longer than hastyStart is not sped up by asking often.
	hastyStart = 5 * time.Second
	// patience is how many looks in a row must fail before an instance that serves
	// is taken out: one slow answer of a busy machine is no reason.
	patience = 3
	// explainAfter is how long a start may take before the log says what it waits for.
	explainAfter = 3 * time.Second
	explainEvery = time.Minute
	// hungAfter is how long an Envoy may not answer at all before it is killed. One
	// that has only begun reads its configuration first.
	hungAfter      = 15 * time.Second
	hungAfterStart = time.Minute
	// busyAfter is the same for one whose main thread works meanwhile: it takes up a large
	// configuration, and its other threads serve.
	busyAfter = 3 * time.Minute
	// busyShare is how much of a silence, at least, the main thread of a busy Envoy ran.
	busyShare = 0.005
)

// watch looks after one Envoy until it ends (an [ended] error), ctx ends (nil),
// or it cannot be helped (a [fatal] error): it says to the lease what is wanted.
func (r *Runner) watch(ctx context.Context, e *envoy, registration *lease.Lease) error {
	look, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(e.exited, stop)() //nolint:contextcheck // a look ends with its Envoy too
	defer r.serving.Store(false)
	began := time.Now()
	explained := began.Add(explainAfter - explainEvery)
	up, failures := false, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := registration.Changes()
		select {
		case <-ctx.Done():
			return nil
		case <-e.exited.Done():
			return e.death(true)
		case <-changed:
			r.report(e, registration)
			continue
		case <-timer.C:
		}
		e.repeats.over(time.Now(), r.log)
		found, err := r.look(look, e)
		if look.Err() != nil {
			continue
		}
		if errors.As(err, new(*fatal)) || errors.As(err, new(*useless)) {
			return err
		}
		if err == nil {
			if !up {
				r.log.Info("the "+r.config.noun()+" can serve", append([]any{"after", time.Since(began).Round(time.Millisecond)}, found.logged()...)...)
			}
			up, failures, r.served = true, 0, true
			r.serving.Store(true)
			r.want(found, registration)
			r.reachable(e, found)
			r.recover()
			r.report(e, registration)
			timer.Reset(steadyPoll)
			continue
		}
		failures++
		if up && failures == patience {
			up = false
			r.serving.Store(false)
			r.log.Warn("the "+r.config.noun()+" cannot serve any more: taking the instance out", "error", err)
			r.suffer("Envoy runs and cannot serve any more", err)
			registration.Set(lease.State{Health: r.absent()})
		}
		if !up && time.Since(explained) > explainEvery {
			explained = time.Now()
			why := r.explain(look, e, err)
			r.log.Warn("the "+r.config.noun()+" cannot serve yet: waiting", "error", why)
			r.suffer("Envoy runs and cannot serve yet", why)
		}
		switch {
		case up:
			timer.Reset(steadyPoll)
		case time.Since(began) < hastyStart:
			timer.Reset(startPoll)
		default:
			timer.Reset(slowPoll)
		}
	}
}

// look says where Envoy listens, or why the sidecar cannot serve.
func (r *Runner) look(ctx context.Context, e *envoy) (listeners, error) {
	asked := time.Now()
	state, ok, answered := e.admin.live(ctx)
	if err := e.heard(asked, answered); err != nil {
		return listeners{}, err
	}
	if !ok {
		return listeners{}, errors.New("Envoy is not ready: " + state)
	}
	found, err := e.admin.listeners(ctx)
	if err != nil {
		return listeners{}, err
	}
	if err := r.refused(ctx, e, found); err != nil {
		return listeners{}, err
	}
	switch {
	case r.config.takesCalls() && !found.inbound.IsValid():
		return listeners{}, errors.New("the control plane has not given Envoy the listener for calls to the service: is it there (--xds), and is the service declared?")
	case r.config.Bootstrap.Proxy.Intercept != nil && !found.transparent.IsValid():
		return listeners{}, errors.New("the control plane has not given Envoy the listener of intercepted connections: is it there (--xds), is the service declared, and does it know of interception?")
	case r.config.isGateway():
		if fault := missing(r.config.Bootstrap.Proxy.Gateway, found); fault != "" {
			return listeners{}, errors.New(fault)
		}
	case !r.config.takesCalls() && !e.given:
		if e.given, err = e.admin.configured(ctx); err != nil {
			return listeners{}, err
		}
		if !e.given {
			return listeners{}, errors.New("the control plane has not given Envoy its listeners: is it there (--xds), and is the service declared?")
		}
	}
	if r.config.NoRegister || r.served && r.config.AppReady.once {
		return found, nil
	}
	if err := r.config.AppReady.check(ctx); err != nil {
		return listeners{}, errors.New("the application is not ready: " + err.Error())
	}
	return found, nil
}

// heard notes whether Envoy answered. One that did not for hungAfter is killed:
// its connections stay open and its listeners take more, so that nothing else
// would get callers off it. Several questions have to be without an answer: this
// process may have been stopped itself in the middle of one.
func (e *envoy) heard(asked time.Time, answered bool) error {
	if answered {
		e.answered, e.silent, e.unheard = true, time.Time{}, 0
		return nil
	}
	worked := mainThread(e.pid)
	if e.unheard++; e.unheard == 1 {
		e.silent, e.worked = asked, worked
	}
	bound := hungAfter
	if !e.answered {
		bound = hungAfterStart
	}
	silence := time.Since(e.silent)
	if (worked - e.worked).Seconds() > busyShare*silence.Seconds() {
		bound = max(bound, busyAfter)
	}
	if e.unheard <= patience || silence < bound || e.gone() {
		return nil
	}
	e.kill()
	return &useless{fmt.Sprintf("Envoy (pid %d) hung, and was killed: its admin interface has not answered for %s", e.pid, silence.Round(time.Second))}
}

// refused looks for a listener whose port Envoy could not have. At the start
// that is for whoever runs this sidecar to mend. Later, when a listener is
// missing without which the sidecar is of no use, another Envoy is worth a try:
// this one is not sent the listener again. Anything else that Envoy refuses is
// the control plane's to mend, which goes on without it.
func (r *Runner) refused(ctx context.Context, e *envoy, found listeners) error {
	if r.served && !r.lacks(found) {
		return nil
	}
	refusals, err := e.admin.refusals(ctx)
	if err != nil {
		return err
	}
	for _, why := range refusals {
		fault := unbound(why)
		switch {
		case fault == "":
		case r.config.Bootstrap.Proxy.Profile == mesh.HostProfile && !isNeeded(why):
			// A host serves all the others; who configures it tells of this one.
		case !r.served:
			return &fatal{&mesh.Error{Kind: mesh.KindInvalid, Message: fault}}
		case isNeeded(why):
			return &useless{fault}
		}
	}
	return nil
}

// lacks says whether Envoy is without a listener that the sidecar has to have.
func (r *Runner) lacks(found listeners) bool {
	if g := r.config.Bootstrap.Proxy.Gateway; g != nil {
		return missing(g, found) != ""
	}
	return r.config.takesCalls() && !found.inbound.IsValid() ||
		r.config.Bootstrap.Proxy.Intercept != nil && !found.transparent.IsValid() || r.status.Outbound.IsValid() && !found.outbound.IsValid()
}

// want registers the instance, or keeps it registered.
func (r *Runner) want(found listeners, registration *lease.Lease) {
	if !r.config.registers() {
		return
	}
	port := r.config.AdvertisePort
	if port == 0 {
		port = mesh.Port(found.inbound.Port())
	}
	registration.Set(lease.State{Health: mesh.Healthy, Port: port})
}

// reachable notes where the sidecar is reached now.
func (r *Runner) reachable(e *envoy, found listeners) {
	r.status.Admin, r.status.PID = e.address, e.pid
	r.status.Inbound, r.status.Outbound = found.inbound, found.outbound
	r.status.HTTP, r.status.HTTPS = found.http, found.https
	r.held = found.all
}

// report tells the status if it is news, and if the instance is registered where
// it has to be.
func (r *Runner) report(e *envoy, registration *lease.Lease) {
	if r.config.Report == nil || r.status.PID != e.pid {
		return // this Envoy has not served yet
	}
	if r.config.registers() {
		epoch, healthy := registration.Holding()
		if !healthy {
			return
		}
		r.status.Epoch = epoch
	}
	if r.status != r.reported {
		r.reported = r.status
		r.config.Report(r.status)
	}
}
