package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// What checks have that do not say, if the configuration does not say either.
const (
	DefaultInterval  = 3 * time.Second
	DefaultTimeout   = 2 * time.Second
	DefaultWorkers   = 32
	defaultUnhealthy = 2 // one failure may be the network's, or a machine's that stood still
)

const (
	// apart is the time between the first checks of services that were found at once, on
	// average: they are not all checked in one moment, and never again.
	apart = 10 * time.Millisecond
	// soon is when a service that has not been healthy yet is checked again, for the
	// first time; twice as long after each time, up to its interval.
	soon = 100 * time.Millisecond
	// vary is the part of an interval by which one is longer or shorter than another.
	vary = 0.1
	// leastPause is between two checks of a service, whatever is said of its interval.
	leastPause = hosts.LeastInterval / 2
)

// Config says what checks have in common.
type Config struct {
	Host string // the host's name, {{container}} in arguments
	// Defaults is what services have that say nothing, and what checks have that leave
	// something out but for the kind and its arguments. Its own default is a TCP
	// connection to the first port.
	Defaults hosts.Check
	Workers  int // checks at a time; default 32
	// Environment is what commands have, besides LC_ALL: NAME=VALUE each. None is the
	// agent's own.
	Environment []string
	Logger      *slog.Logger
}

// Monitor checks services of sources that it wraps.
type Monitor struct {
	cfg   Config
	lanes lanes
}

// New makes one, and starts nothing.
func New(cfg Config) *Monitor {
	d := &cfg.Defaults
	d.Kind = cmp.Or(d.Kind, hosts.CheckTCP)
	d.Interval, d.Timeout = cmp.Or(d.Interval, DefaultInterval), cmp.Or(d.Timeout, DefaultTimeout)
	d.Healthy, d.Unhealthy = cmp.Or(d.Healthy, 1), cmp.Or(d.Unhealthy, defaultUnhealthy)
	return &Monitor{cfg: cfg, lanes: newLanes(cmp.Or(cfg.Workers, DefaultWorkers))}
}

// checkOf gives a service's check with nothing left out.
func (m *Monitor) checkOf(s hosts.Service) hosts.Check {
	check, d := s.Check, m.cfg.Defaults
	if check.Kind == "" {
		check.Kind, check.Args, check.Own = d.Kind, d.Args, false // what the host says of all
		if s.FirstTCP() == 0 && d.Kind != hosts.CheckExec {
			check.Kind, check.Args = hosts.CheckNone, ""
		}
	}
	check.Interval, check.Timeout = max(cmp.Or(check.Interval, d.Interval), hosts.LeastInterval), cmp.Or(check.Timeout, d.Timeout)
	check.Timeout = min(check.Timeout, check.Interval)
	check.Healthy, check.Unhealthy = cmp.Or(check.Healthy, d.Healthy), cmp.Or(check.Unhealthy, d.Unhealthy)
	check.Initial = cmp.Or(check.Initial, d.Initial)
	return check
}

// follow checks a service until ctx ends. told is called when the verdict is another one.
func (m *Monitor) follow(ctx context.Context, ask probe, check hosts.Check, j judge, first time.Duration, told func(verdict)) {
	late, again := false, min(soon, check.Interval)
	fresh := j.Health != hosts.Healthy // it has not been healthy yet
	for wait := first; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		leave := m.lanes.enter(ctx, late)
		if leave == nil {
			return
		}
		began := time.Now()
		failure := once(ctx, ask, check.Timeout)
		leave()
		if ctx.Err() != nil {
			return
		}
		took := time.Since(began)
		late = took >= check.Timeout/2
		if j.hear(failure, time.Now()) {
			told(j.verdict)
		}
		wait = time.Duration(float64(check.Interval) * (1 - vary + 2*vary*rand.Float64())) //nolint:gosec // it is to spread, and not to be secret
		if fresh = fresh && j.Health != hosts.Healthy; fresh {
			wait = min(wait, again)
			again = min(2*again, check.Interval)
		}
		wait = max(wait-took, leastPause)
	}
}

// once asks once, and gives why it failed.
func once(ctx context.Context, ask probe, timeout time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := ask(ctx)
	switch {
	case err == nil:
		return ""
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", timeout)
	}
	return reason(err)
}
