// Package leasetest has a registry for tests of those who keep leases.
package leasetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Registrar is a registry that can be made to fail, and to lose a lease:
// what the real one is not to do in a test.
type Registrar struct {
	mu       sync.Mutex
	fault    func(ctx context.Context) error // guarded by mu; nil: works
	instance *mesh.Instance                  // guarded by mu
	ends     time.Time                       // guarded by mu; of the lease
	ttl      time.Duration                   // guarded by mu
	epochs   int                             // guarded by mu
	history  []string                        // guarded by mu; what was done with success
}

// Fail has every call fail from now on; nil: no longer.
func (f *Registrar) Fail(fault func(ctx context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Unreachable is a fault: the server does not answer at all.
func Unreachable(ctx context.Context) error {
	<-ctx.Done()
	return mesh.Unavailable(ctx.Err(), "no answer")
}

// Lose ends the lease, as an expiry does.
func (f *Registrar) Lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instance = nil
}

// Replace registers the instance for someone else.
func (f *Registrar) Replace(other mesh.Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	other.Epoch = "other"
	f.instance, f.ttl, f.ends = &other, 24*time.Hour, time.Now().Add(24*time.Hour)
}

// History tells what was done, renewals left out.
func (f *Registrar) History() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.history)
}

// Instance gives what is registered, or nil.
func (f *Registrar) Instance() *mesh.Instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire()
	if f.instance == nil {
		return nil
	}
	copied := *f.instance
	return &copied
}

func (f *Registrar) expire() {
	if f.instance != nil && time.Now().After(f.ends) {
		f.history = append(f.history, "expired")
		f.instance = nil
	}
}

// enter applies the fault outside the lock.
func (f *Registrar) enter(ctx context.Context) error {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault != nil {
		return fault(ctx)
	}
	return ctx.Err()
}

func (f *Registrar) owned(key mesh.InstanceKey, epoch string) error {
	f.expire()
	if f.instance == nil || f.instance.Key() != key {
		return mesh.NotFound("instance %s is not registered", key)
	}
	if f.instance.Epoch != epoch {
		return mesh.Conflict("instance %s has another epoch", key)
	}
	return nil
}

// Register implements [Registrar].
func (f *Registrar) Register(ctx context.Context, instances []mesh.Instance, ttl time.Duration) ([]mesh.Instance, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	made := instances[0]
	f.epochs++
	made.Epoch = fmt.Sprint(f.epochs)
	f.instance, f.ttl, f.ends = &made, ttl, time.Now().Add(ttl)
	f.history = append(f.history, fmt.Sprintf("register %s %s", made.Epoch, made.Health))
	return []mesh.Instance{made}, nil
}

// Renew implements [Registrar].
func (f *Registrar) Renew(ctx context.Context, key mesh.InstanceKey, epoch string) (time.Duration, error) {
	if err := f.enter(ctx); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.owned(key, epoch); err != nil {
		return 0, err
	}
	f.ends = time.Now().Add(f.ttl)
	return f.ttl, nil
}

// SetHealth implements [Registrar].
func (f *Registrar) SetHealth(ctx context.Context, key mesh.InstanceKey, epoch string, health mesh.Health) (mesh.Instance, error) {
	if err := f.enter(ctx); err != nil {
		return mesh.Instance{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.owned(key, epoch); err != nil {
		return mesh.Instance{}, err
	}
	f.instance.Health = health
	f.history = append(f.history, fmt.Sprintf("mark %s %s", epoch, health))
	return *f.instance, nil
}

// Deregister implements [Registrar].
func (f *Registrar) Deregister(ctx context.Context, key mesh.InstanceKey, epoch string) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.owned(key, epoch); err != nil {
		return err
	}
	f.instance = nil
	f.history = append(f.history, "deregister "+epoch)
	return nil
}
