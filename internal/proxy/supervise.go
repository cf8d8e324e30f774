package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/heddle-mesh/heddle/internal/lease"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// An Envoy that ran for steadyRun is no longer part of a row of crashes: the
// next pause is the first again.
const (
	firstPause  = 100 * time.Millisecond
	longestWait = 10 * time.Second
	steadyRun   = 30 * time.Second
)

// envoy is one running Envoy with its admin interface.
type envoy struct {
	*process
	admin   *admin
	address netip.AddrPort

	// Of watch alone.
	given    bool          // the control plane has given it its listeners
	answered bool          // its admin interface has answered
	silent   time.Time     // since when that does not; zero: it does
	worked   time.Duration // how long its main thread had run by then
	unheard  int           // how many questions in a row it did not answer
}

func newPauses(longest time.Duration) *backoff.ExponentialBackOff {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, longest, 2
	pauses.Reset()
	return pauses
}

// keepRunning runs one Envoy after the other until ctx ends, and gives the one
// that runs then, or nil. The error is about the start: the first Envoy did not
// get as far as to serve, by a fault that will not go away.
func (r *Runner) keepRunning(ctx context.Context, registration *lease.Lease) (*envoy, error) {
	pauses := newPauses(longestWait)
	for {
		if !r.awaitPorts(ctx) {
			return nil, nil
		}
		began := time.Now()
		current, err := r.launch(ctx)
		if err == nil {
			err = r.watch(ctx, current, registration)
			if ctx.Err() != nil || errors.As(err, new(*fatal)) {
				return current, unwrapFatal(err)
			}
			current.end(r.config.Hurry) // it may be there still, and of no use
		}
		if ctx.Err() != nil {
			return nil, nil //nolint:nilerr // the end came first, and launch left nothing behind
		}
		if !r.served && final(err) {
			return nil, err
		}
		registration.Set(lease.State{Health: r.absent()})
		r.suffer("Envoy ended, or does not start: nothing is served until another one runs, which is started by itself", err)
		if time.Since(began) > steadyRun {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		r.log.Error("starting another Envoy", "after", time.Since(began).Round(time.Millisecond), "pause", pause.Round(time.Millisecond), "error", err)
		if !sleep(ctx, pause) {
			return nil, nil
		}
	}
}

// absent is the health of an instance that cannot serve: one that was
// registered is marked, so that its registration, and its lease, stay its own.
func (r *Runner) absent() mesh.Health {
	if r.served {
		return mesh.Unhealthy
	}
	return ""
}

// launch starts an Envoy and waits for its admin interface, which it has before
// it asks the control plane for anything.
func (r *Runner) launch(ctx context.Context) (*envoy, error) {
	p, err := start(spec{
		path: r.config.Envoy, bootstrap: r.bootstrap, concurrency: r.config.Concurrency,
		logLevel: r.config.EnvoyLogLevel, log: r.log, folder: r.folder(), out: r.config.Stdout,
	})
	if err != nil {
		return nil, err
	}
	address, err := p.adminAddress(ctx)
	if err == nil {
		r.log.Info("Envoy started", "pid", p.pid, "admin", address)
		return &envoy{process: p, admin: newAdmin(address.String()), address: address}, nil
	}
	if ctx.Err() != nil {
		p.stop(stopGrace, r.config.Hurry)
		return nil, ctx.Err()
	}
	if !p.awaitExit(time.Second) {
		p.stop(stopGrace, r.config.Hurry)
	}
	return nil, p.death(false)
}

// end stops Envoy and lets go of its admin interface.
func (e *envoy) end(hurry <-chan struct{}) {
	e.stop(stopGrace, hurry)
	e.admin.close()
}

// ended is an Envoy that is gone.
type ended struct {
	bySignal bool // something killed it, rather than that it gave up
	hadAdmin bool // it had read its bootstrap
	reason   string
}

func (e *ended) Error() string { return e.reason }

// death says how Envoy ended. To be called once it has.
func (p *process) death(hadAdmin bool) error {
	result := &ended{hadAdmin: hadAdmin}
	how := "exit status 0"
	if p.failure != nil {
		how = p.failure.Error()
	}
	var exit *exec.ExitError
	if errors.As(p.failure, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		result.bySignal = ok && status.Signaled()
	}
	result.reason = fmt.Sprintf("Envoy ended (%s)", how)
	if said := p.last.String(); said != "" {
		result.reason += "; its last words:\n" + said
	}
	return result
}

// final says whether an Envoy that never served is not worth another try: the
// binary cannot be run, or it gave up by itself, as it does when it refuses the
// bootstrap. One that something killed while it waited is started again.
func final(err error) bool {
	var end *ended
	return !errors.As(err, &end) || !end.bySignal || !end.hadAdmin
}

// useless is an Envoy that runs and has to be replaced.
type useless struct{ reason string }

func (u *useless) Error() string { return u.reason }

// fatal ends Run although Envoy runs.
type fatal struct{ err error }

func (f *fatal) Error() string { return f.err.Error() }

func unwrapFatal(err error) error {
	var f *fatal
	if errors.As(err, &f) {
		return f.err
	}
	return nil
}

// sleep waits; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
