// Package authority follows a program that alone knows what runs on a host, such as a
// container engine, and that may be away while what it started runs on.
//
// Main type: [Authority]. All of it is of the one goroutine that calls Follow.
package authority

import (
	"cmp"
	"context"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Authority is such a program. One that is away changes nothing at first; what only it
// speaks for is said to be in doubt after a while, and is called all the same.
type Authority struct {
	Name     string                // in logs and reasons
	Patience time.Duration         // how long it may be away until then
	Found    func([]hosts.Service) // takes what runs, when that has changed
	Logger   *slog.Logger

	said     []hosts.Service // nil: nothing yet
	awayFrom time.Time       // zero: it is there
	told     bool            // that it is away
	toldAt   time.Time       // last
	doubted  bool
}

const (
	// tellAgain is between two times that it is told of one that comes and goes.
	tellAgain = time.Minute
	// firstRetry and lastRetry bound the pause after a connection that failed.
	firstRetry, lastRetry = 100 * time.Millisecond, 2 * time.Second
	// held is how long a connection lasts that was none that failed.
	held = 10 * time.Second
)

// Follow makes connections until ctx ends; each returns when it fails.
func (a *Authority) Follow(ctx context.Context, connection func(context.Context) error) {
	pause := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		if err := connection(ctx); ctx.Err() == nil {
			a.away(err)
		}
		if time.Since(began) > held {
			pause = firstRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastRetry)
	}
}

// Says takes all that runs, by its word. The list is the callee's from then on.
func (a *Authority) Says(services []hosts.Service) {
	if a.told {
		a.Logger.Info(a.Name + " answers again")
	}
	a.awayFrom, a.told, a.doubted = time.Time{}, false, false
	slices.SortFunc(services, func(a, b hosts.Service) int { return cmp.Compare(a.ID, b.ID) })
	a.hand(services)
}

// hand hands over what has changed.
func (a *Authority) hand(services []hosts.Service) {
	if a.said == nil || !reflect.DeepEqual(services, a.said) {
		a.said = services
		a.Found(slices.Clone(services))
	}
}

// away notes that it cannot be asked.
func (a *Authority) away(err error) {
	now := time.Now()
	if a.awayFrom.IsZero() {
		a.awayFrom = now
	}
	if !a.told && now.Sub(a.toldAt) > tellAgain {
		a.told, a.toldAt = true, now
		a.Logger.Warn(a.Name+" cannot be asked; what ran last is taken to run on", "error", err)
	}
	if a.doubted || now.Sub(a.awayFrom) < a.Patience {
		return
	}
	a.doubted = true
	services, doubts := slices.Clone(a.said), 0
	for i := range services {
		if one := &services[i]; (one.Check.Kind == hosts.CheckEngine || one.Check.Kind == hosts.CheckNone) && one.Health != hosts.Draining {
			one.Reason = a.Name + " cannot be asked"
			doubts++
		}
	}
	if doubts > 0 {
		a.Logger.Warn(a.Name+" could not be asked for long; what only it speaks for is taken to run on, and is in doubt", "services", doubts)
		a.hand(services)
	}
}
