package catalog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ErrClosed is what Wait returns once its feed is closed.
var ErrClosed = errors.New("the feed is closed")

// Changes names what differs between the view a reader had and the one it gets.
type Changes struct {
	Services  map[mesh.ServiceName]struct{} // declared, changed or deleted
	Instances map[mesh.ServiceName]struct{} // services whose instances changed
	Routes    map[mesh.RouteName]struct{}
	Callers   map[mesh.ServiceName]struct{} // services that others have begun or ceased to call, or that routes name
	VMs       map[mesh.VMKey]struct{}       // virtual machines that were found, changed or are gone
	Runtime   bool
	Trust     bool // the keys of tokens, or who may be asked for tokens
	Synced    bool // the view became complete

	// Written is when the oldest of the changes was written; zero: not known, as of
	// the whole mesh when it is read for the first time.
	Written time.Time
	// Traces are those of the writes that are followed, MaxTraces at most.
	Traces []string
}

// MaxTraces bounds how many traces changes carry.
const MaxTraces = 8

// Empty says whether nothing changed.
func (c *Changes) Empty() bool {
	return len(c.Services) == 0 && len(c.Instances) == 0 && len(c.Routes) == 0 && len(c.VMs) == 0 && !c.Runtime && !c.Trust && !c.Synced
}

func (c *Changes) merge(other Changes) {
	c.Services = union(c.Services, other.Services)
	c.Instances = union(c.Instances, other.Instances)
	c.Routes = union(c.Routes, other.Routes)
	c.Callers = union(c.Callers, other.Callers)
	c.VMs = union(c.VMs, other.VMs)
	c.Runtime = c.Runtime || other.Runtime
	c.Trust = c.Trust || other.Trust
	c.Synced = c.Synced || other.Synced
	if c.Written.IsZero() || !other.Written.IsZero() && other.Written.Before(c.Written) {
		c.Written = other.Written
	}
	for _, trace := range other.Traces {
		if len(c.Traces) < MaxTraces && !slices.Contains(c.Traces, trace) {
			c.Traces = append(c.Traces, trace)
		}
	}
}

func union[K comparable](into, from map[K]struct{}) map[K]struct{} {
	if len(from) == 0 {
		return into
	}
	if into == nil {
		into = make(map[K]struct{}, len(from))
	}
	maps.Copy(into, from)
	return into
}

// Feed wakes one reader. A slow reader skips views and loses no change.
type Feed struct {
	catalog *Catalog
	wake    chan struct{} // capacity one: "there is something"

	mu      sync.Mutex
	view    *View   // guarded by mu
	pending Changes // guarded by mu
	closed  bool    // guarded by mu
}

// Wait blocks until something changed since the last call, and gives the
// latest view with all of that. The first call gives the present view at once.
func (f *Feed) Wait(ctx context.Context) (*View, Changes, error) {
	select {
	case <-ctx.Done():
		return nil, Changes{}, ctx.Err()
	case <-f.wake:
		return f.Take()
	}
}

// Ready has a value once there is something to take, for who waits for other things
// too; whoever receives it calls [Feed.Take].
func (f *Feed) Ready() <-chan struct{} { return f.wake }

// Take gives the latest view with what changed since the last call, if only nothing.
func (f *Feed) Take() (*View, Changes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, Changes{}, ErrClosed
	}
	changes := f.pending
	f.pending = Changes{}
	return f.view, changes, nil
}

// Close ends the feed; a Wait under way returns [ErrClosed].
func (f *Feed) Close() {
	f.catalog.unsubscribe(f)
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.signal()
}

func (f *Feed) publish(view *View, changes Changes) {
	f.mu.Lock()
	f.view = view
	f.pending.merge(changes)
	f.mu.Unlock()
	f.signal()
}

func (f *Feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default: // a wake-up is waiting already; it will see this change too
	}
}
