package lease

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Registrar is where instances are registered. Its errors carry a
// [mesh.ErrorKind]; what carries none counts as unavailable.
type Registrar interface {
	Register(ctx context.Context, instances []mesh.Instance, ttl time.Duration) ([]mesh.Instance, error)
	Renew(ctx context.Context, key mesh.InstanceKey, epoch string) (time.Duration, error)
	SetHealth(ctx context.Context, key mesh.InstanceKey, epoch string, health mesh.Health) (mesh.Instance, error)
	Deregister(ctx context.Context, key mesh.InstanceKey, epoch string) error
}

// State is what the registration should be, or is.
type State struct {
	Health mesh.Health // "" : not registered
	Port   mesh.Port   // where callers reach the instance
}

// Lease brings one instance's registration to the state that is wanted, and
// keeps it there. Only Run talks to the Registrar; the others may be called
// from anywhere.
//
// Who owns an id: the newest registration does, its epoch says which that is. A
// lease whose epoch was replaced (Conflict) never takes the id back while the
// other one lives, or two sidecars with one id would take it from each other
// for ever. It keeps asking with its old epoch, and registers again when the
// answer is that nobody owns the id (NotFound), or when it is told to (Take), by
// who knows that the other one is to give it up.
type Lease struct {
	registrar Registrar
	instance  mesh.Instance // without port, health and epoch
	ttl       time.Duration
	log       *slog.Logger

	mu      sync.Mutex
	want    State         // guarded by mu
	asked   int           // guarded by mu; counts the changes of want
	seen    int           // guarded by mu; the value of asked that run acts on, with no older call under way
	have    State         // guarded by mu; written by run only
	held    string        // guarded by mu; the epoch that have is about
	take    bool          // guarded by mu; the id is to be taken from who has it
	taken   bool          // guarded by mu; contested, as run has found
	changed chan struct{} // guarded by mu; closed and replaced when have or seen changes
	wake    chan struct{} // capacity 1: want has changed

	// Of run alone.
	epoch     string        // of the last registration; kept while contested
	owned     bool          // the registration with epoch is there, as far as is known
	contested bool          // another epoch owns the id
	ever      bool          // a registration succeeded
	granted   time.Duration // the ttl that the server gave
	due       time.Time     // of the next renewal, or of the next look at a contested id
	fault     fault
	retry     *backoff.ExponentialBackOff
}

// fault is what keeps the lease from its state; each is logged once.
type fault string

const (
	faultNone        fault = ""
	faultUnavailable fault = "unavailable"
	faultRefused     fault = "refused"
)

// New makes the lease of an instance, whose port, health and epoch do not count; nothing
// is wanted of it yet.
func New(registrar Registrar, instance mesh.Instance, ttl time.Duration, log *slog.Logger) *Lease {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval = 200 * time.Millisecond
	retry.MaxInterval = max(ttl/3, retry.InitialInterval)
	return &Lease{
		registrar: registrar, instance: instance, ttl: ttl, log: log.With("instance", instance.Key().String()),
		changed: make(chan struct{}), wake: make(chan struct{}, 1), granted: ttl, retry: retry,
	}
}

// Run works until ctx ends. It returns an error only when the very first
// registration is refused for a reason that waiting does not mend.
func (l *Lease) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		pause, err := l.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
			l.retry.Reset() // a new wish is worth a prompt try
		case <-timer.C:
		}
	}
}

// forever is the pause when only a new wish changes anything.
const forever = 1 << 62

// step makes at most one call, and says how long nothing is to be done after it.
func (l *Lease) step(ctx context.Context) (time.Duration, error) {
	l.mu.Lock()
	want, have, take := l.want, l.have, l.take
	if l.seen != l.asked {
		l.seen = l.asked
		l.broadcast()
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, min(max(l.granted/3, time.Second), 5*time.Second))
	defer cancel()

	switch {
	case l.contested && take && want.Health != "":
		return l.register(ctx, want)
	case l.contested && want.Health == mesh.Healthy:
		if wait := time.Until(l.due); wait > 0 {
			return wait, nil
		}
		return l.renew(ctx)
	case !l.owned && want.Health != mesh.Healthy:
		// What is not there need not be marked, and is never brought back to be marked.
		l.publish(State{Health: want.Health})
		return forever, nil
	case !l.owned:
		return l.register(ctx, want)
	case want.Health == "":
		return l.deregister(ctx)
	case want.Port != have.Port && want.Health == mesh.Healthy:
		return l.register(ctx, want)
	case want.Health != have.Health:
		return l.mark(ctx, want)
	}
	if wait := time.Until(l.due); wait > 0 && !take {
		return wait, nil
	}
	return l.renew(ctx)
}

func (l *Lease) register(ctx context.Context, want State) (time.Duration, error) {
	instance := l.instance
	instance.Port, instance.Health = want.Port, want.Health
	made, err := l.registrar.Register(ctx, []mesh.Instance{instance}, l.ttl)
	if err == nil && len(made) != 1 {
		err = errors.New("the answer to the registration holds no instance")
	}
	if err != nil {
		if kind := mesh.KindOf(err); !l.ever && (kind == mesh.KindInvalid || kind == mesh.KindDenied) {
			return 0, err
		}
		return l.failed(err, "register the instance"), nil
	}
	again := l.ever
	l.epoch, l.owned, l.contested, l.ever, l.granted = made[0].Epoch, true, false, true, l.ttl
	l.has()
	l.succeeded(want)
	l.log.Info("registered: callers find it now", "address", instance.Address, "port", int(instance.Port), "ttl", l.ttl, "again", again)
	return time.Until(l.due), nil
}

func (l *Lease) renew(ctx context.Context) (time.Duration, error) {
	ttl, err := l.registrar.Renew(ctx, l.instance.Key(), l.epoch)
	if err != nil {
		return l.failed(err, "renew the registration"), nil
	}
	if ttl > 0 {
		l.granted = ttl
	}
	// A contested epoch that can be renewed after all was never replaced.
	l.contested, l.owned = false, true
	l.has()
	l.mu.Lock()
	have := l.have
	l.mu.Unlock()
	l.succeeded(have)
	return time.Until(l.due), nil
}

func (l *Lease) mark(ctx context.Context, want State) (time.Duration, error) {
	if _, err := l.registrar.SetHealth(ctx, l.instance.Key(), l.epoch, want.Health); err != nil {
		return l.failed(err, "mark the instance "+string(want.Health)), nil
	}
	l.mu.Lock()
	port := l.have.Port
	l.mu.Unlock()
	due := l.due // marking renews nothing
	l.succeeded(State{Health: want.Health, Port: port})
	l.due = due
	l.log.Info("marked " + string(want.Health))
	return 0, nil
}

func (l *Lease) deregister(ctx context.Context) (time.Duration, error) {
	if err := l.registrar.Deregister(ctx, l.instance.Key(), l.epoch); err != nil {
		return l.failed(err, "deregister the instance"), nil
	}
	l.owned = false
	l.succeeded(State{})
	l.log.Info("deregistered")
	return forever, nil
}

// succeeded notes the new state, and that the registrar is there.
func (l *Lease) succeeded(have State) {
	if l.fault != faultNone {
		l.log.Info("the control plane answers again", "after", string(l.fault))
		l.fault = faultNone
	}
	l.retry.Reset()
	l.due = time.Now().Add(jitter(l.granted / 3))
	l.publish(have)
}

// failed decides what an error means, logs it if it is news, and says how long
// to wait.
func (l *Lease) failed(err error, what string) time.Duration {
	switch mesh.KindOf(err) {
	case mesh.KindNotFound:
		if !l.owned && !l.contested { // it was a registration: the service itself is not there
			return l.report(faultRefused, l.log.Warn, "cannot "+what+" yet: trying again until the service is declared", err)
		}
		if l.owned {
			l.log.Warn("the registration is gone: its lease ended while the control plane could not be reached, or someone removed it; registering again if it can serve")
		} else {
			l.log.Info("the other owner of the instance's id is gone: registering again")
		}
		l.owned, l.contested = false, false
		l.publish(State{})
		return 0
	case mesh.KindConflict:
		if !l.contested {
			l.log.Error("another registration has taken the instance's id: it may have been given twice; "+
				"this one goes on serving what reaches it, and registers again only when the other is gone", "error", err)
		}
		l.owned, l.contested = false, true
		l.due = time.Now().Add(jitter(l.granted / 3))
		l.publish(State{})
		return 0 // the next step sees what is still to be done, if anything
	case mesh.KindDenied, mesh.KindInvalid:
		return l.report(faultRefused, l.log.Error, "cannot "+what+": the control plane refuses it; traffic goes on, trying again", err)
	default:
		return l.report(faultUnavailable, l.log.Warn, "cannot "+what+": the control plane cannot be reached; traffic goes on with what Envoy has, trying again", err)
	}
}

func (l *Lease) report(now fault, tell func(string, ...any), message string, err error) time.Duration {
	if l.fault != now {
		l.fault = now
		tell(message, "error", err)
	}
	return l.retry.NextBackOff()
}

// jitter keeps sidecars that started together from renewing together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.85 + 0.3*rand.Float64()))
}
