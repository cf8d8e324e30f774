package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/heddle-mesh/heddle/internal/proxy"
)

// An HAProxy that ran for steadyRun is no longer part of a row of crashes.
const (
	firstPause  = 100 * time.Millisecond
	longestWait = 10 * time.Second
	steadyRun   = 30 * time.Second
	// loadBound is how long HAProxy may take to serve what it was told to load: for
	// 2 s it tries to have a port that is taken.
	loadBound = 15 * time.Second
	loadPoll  = 5 * time.Millisecond
	// firstTries is how often a first HAProxy is started that ends at once: a port may
	// have been taken just then.
	firstTries = 3
)

func newPauses() *backoff.ExponentialBackOff {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, longestWait, 2
	pauses.Reset()
	return pauses
}

// keepRunning runs one HAProxy after the other until ctx ends; one may run then. The
// error is of a first one that never served.
func (r *Runner) keepRunning(ctx context.Context) error {
	pauses := newPauses()
	for tries := 1; ; tries++ {
		began := time.Now()
		err := r.start(ctx)
		if err == nil {
			r.served = true
			err = r.follow(ctx)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end came first
		}
		if r.process != nil {
			r.process.stop()
		}
		if !r.served && (r.process == nil || tries == firstTries) {
			return err
		}
		r.suffer("HAProxy ended, or does not start: nothing is served until another one runs, which is started by itself", err)
		if time.Since(began) > steadyRun {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		r.log.Error("starting another HAProxy", "after", time.Since(began).Round(time.Millisecond), "pause", pause.Round(time.Millisecond), "error", err)
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// start has an HAProxy serve what there is now. r.process is nil if none was started.
func (r *Runner) start(ctx context.Context) error {
	r.process, r.running, r.broken = nil, plan{}, false
	r.take(r.cfg.Catalog.View())
	_, next := fit(plan{}, r.wanted())
	r.settings.Generation++
	if err := r.writeChecked(ctx, render(r.settings, next)); err != nil {
		return err
	}
	p, err := start(r.cfg.HAProxy, r.folder.Path, r.log)
	if err != nil {
		return err
	}
	r.process = p
	if err := r.awaitLoaded(ctx, -1); err != nil {
		return err
	}
	r.running = next.afterLoad()
	r.recover()
	r.log.Info("HAProxy started", "pid", p.pid, "services", len(next.Services))
	if r.cfg.Report != nil {
		r.cfg.Report(proxy.Status{Outbound: netip.AddrPortFrom(r.settings.Address, uint16(r.settings.Outbound)), PID: p.pid})
	}
	return nil
}

// errRefused is what a reload gives that HAProxy undid.
var errRefused = errors.New("HAProxy goes on with what it had")

// awaitLoaded waits until the process of r.settings.Generation takes commands: by then it
// listens. The master has to as well: a signal that it gets while it starts would end it.
// failed is how many reloads had failed before; one more is errRefused.
func (r *Runner) awaitLoaded(ctx context.Context, failed int) error {
	bounded, cancel := context.WithTimeout(ctx, loadBound)
	defer cancel()
	for {
		now, err := showProcesses(bounded, r.process.socket(masterSocket))
		if err == nil {
			if _, err := ask(bounded, r.socket(), "show version"); err == nil {
				return nil
			}
			if failed >= 0 && now.failed > failed {
				return fmt.Errorf("%w; its words:\n%s", errRefused, r.process.said)
			}
		}
		if r.process.exited.Err() != nil {
			return r.process.death()
		}
		if !sleep(bounded, loadPoll) {
			return fmt.Errorf("HAProxy does not serve within %s of being told to; its words:\n%s", loadBound, r.process.said)
		}
	}
}

// socket takes the commands of the process that serves now.
func (r *Runner) socket() string { return r.process.socket(socketName(r.settings.Generation)) }

// reload has HAProxy serve a plan of another shape. An error other than errRefused says
// that it is of no use any more.
func (r *Runner) reload(ctx context.Context, next plan) error {
	began := time.Now()
	old := r.settings
	r.settings.Generation++
	if err := r.writeChecked(ctx, render(r.settings, next)); err != nil {
		r.settings = old
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	before, err := showProcesses(ctx, r.process.socket(masterSocket))
	if err == nil {
		r.process.said.clear()
		r.process.signal(syscall.SIGUSR2)
		err = r.awaitLoaded(ctx, before.failed)
	}
	if err != nil {
		r.settings = old
		if wrong := r.write(render(r.settings, r.running)); wrong != nil {
			r.log.Warn("the last configuration cannot be written again", "error", wrong)
		}
		return err
	}
	_ = os.Remove(r.process.socket(socketName(old.Generation))) // the process before it goes
	r.running, r.broken = next.afterLoad(), false
	r.recover()
	r.log.Info("HAProxy has been reloaded", "services", len(next.Services), "listeners", len(next.Listeners), "after", time.Since(began).Round(time.Millisecond))
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
