package discovery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Shelf is where machines are kept for all servers.
type Shelf interface {
	// Known gives the machines of a source, with all that Write has written.
	Known(ctx context.Context, source string) (Known, error)
	// Write puts some and deletes others, and gives the revision of the last write; 0: none.
	Write(ctx context.Context, put []mesh.VM, gone []mesh.VMKey) (int64, error)
	// Noted gives how a source did, as it was noted last.
	Noted(ctx context.Context, source string) (mesh.DiscoverySource, error)
	// Note keeps how the source does.
	Note(ctx context.Context, source mesh.DiscoverySource) error
}

// Source is a source and how it is asked.
type Source struct {
	Name   string // a DNS label
	Kind   string // for people
	Lister Lister
	Pace   Pace
	Digest string // of its settings, see [Digest]
}

// Config has settings whose zero values work, but for Source and Shelf.
type Config struct {
	Source  Source
	Shelf   Shelf
	Server  string // who refreshes, for people
	Metrics *Metrics
	Logger  *slog.Logger // default: discard
}

// listTime bounds one listing, however often it is told to wait.
const listTime = 5 * time.Minute

// Refresher asks a source again and again. Make it with [NewRefresher].
type Refresher struct {
	cfg   Config
	wake  chan struct{} // capacity one: "something changed there"
	asked atomic.Int64  // the latest request for that

	// Of Run's goroutine:
	remembered map[string]memory // of scopes, by name
	resumed    bool              // what was noted before is known
	status     mesh.DiscoverySource
	first      time.Time // when the first refresh began
	told       string    // the fault that was logged last
}

// NewRefresher makes a refresher that asks nothing until Run.
func NewRefresher(cfg Config) *Refresher {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	cfg.Source.Pace = cfg.Source.Pace.WithDefaults()
	return &Refresher{
		cfg: cfg, wake: make(chan struct{}, 1), remembered: map[string]memory{},
		status: mesh.DiscoverySource{Name: cfg.Source.Name, Kind: cfg.Source.Kind, Server: cfg.Server, StaleAfter: cfg.Source.Pace.StaleAfter.Seconds()},
	}
}

// Wake has the source asked soon: somebody said that something changed there, by a request
// that the status then says to be answered. One that was answered before does nothing.
func (r *Refresher) Wake(request int64) {
	r.asked.Store(request)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run refreshes until ctx ends. It may be called once.
func (r *Refresher) Run(ctx context.Context) {
	base, wait, least := time.Duration(0), time.Duration(0), time.Duration(0)
	var again []time.Duration
	for {
		woken, goOn := r.await(ctx, wait, least)
		if !goOn {
			return
		}
		began := time.Now()
		r.resume(ctx)
		o := r.refresh(ctx, woken)
		if ctx.Err() != nil {
			return
		}
		base, wait = r.cfg.Source.Pace.next(base, o, rand.Float64()) //nolint:gosec // jitter
		// Who is woken all the time rests as long as it asks, and as long as the source wants.
		least = max(settle, time.Since(began), min(o.after, longestWait))
		if again = lookAgain(again, woken, o); len(again) > 0 {
			wait, again = max(least, min(wait, again[0])), again[1:]
		}
		r.status.NextRun = time.Now().Add(wait)
		if !r.resumed {
			continue // what was noted says since when scopes have failed
		}
		if err := r.cfg.Shelf.Note(ctx, r.status); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("how a source of machines does could not be noted", "source", r.status.Name, "error", err)
		}
	}
}

// resume goes on from what the server before has noted: also what scopes have asked for.
func (r *Refresher) resume(ctx context.Context) {
	if r.resumed {
		return
	}
	noted, err := r.cfg.Shelf.Noted(ctx, r.cfg.Source.Name)
	if err != nil {
		return
	}
	r.resumed = true
	r.status.Answered = noted.Answered
	r.status.Version, r.status.LastSuccess = max(r.status.Version, noted.Version), latest(r.status.LastSuccess, noted.LastSuccess)
	furthest := time.Now().Add(longestWait) // that server's clock may be wrong
	for _, scope := range noted.Scopes {
		m := r.remembered[scope.Name]
		m.success = latest(m.success, scope.LastSuccess)
		if !scope.HeldSince.IsZero() && (m.held.IsZero() || scope.HeldSince.Before(m.held)) {
			m.held = scope.HeldSince
		}
		if scope.NotBefore.Before(furthest) && m.notBefore.IsZero() {
			m.fault, m.notBefore = scope.Error, scope.NotBefore
		}
		r.remembered[scope.Name] = m
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// refresh asks once, and keeps what differs.
func (r *Refresher) refresh(ctx context.Context, woken bool) outcome {
	began := time.Now()
	if r.first.IsZero() {
		r.first = began
	}
	r.status.LastRun, r.status.ListingMS, r.status.Calls, r.status.Throttled = began.UTC(), 0, 0, 0
	r.status.Written, r.status.Removed = 0, 0
	if asked := r.asked.Load(); asked != 0 { // 0: none was heard of in this term
		r.status.Answered = asked
	}
	known, err := r.cfg.Shelf.Known(ctx, r.cfg.Source.Name)
	if err != nil {
		return r.refreshed(ctx, began, outcome{changed: true}, err) // it comes again
	}
	listing, err := r.list(ctx, r.resting(began, woken), known)
	r.status.ListingMS = milliseconds(time.Since(began))
	r.status.Calls, r.status.Throttled = listing.Calls, listing.Throttled
	r.status.TotalCalls += int64(listing.Calls)
	o := outcome{failed: err != nil}
	if throttled := (*Throttled)(nil); errors.As(err, &throttled) {
		o.after = throttled.After
	}
	if err == nil {
		o.failed, o.after = r.listed(listing.Scopes, time.Now())
		var m merged
		m, err = r.keep(ctx, known, listing, began)
		o.changed = err != nil || m.held || len(m.put)+len(m.gone) > 0 // what could not be written comes again
	}
	return r.refreshed(ctx, began, o, err)
}

// refreshed tells how a refresh went.
func (r *Refresher) refreshed(ctx context.Context, began time.Time, o outcome, err error) outcome {
	took := time.Since(began)
	r.status.DurationMS = milliseconds(took)
	r.status.Error = ""
	if err != nil {
		r.status.Error = err.Error()
	}
	if ctx.Err() != nil {
		return outcome{} // it was told to end: that is no fault of the source
	}
	r.cfg.Metrics.refreshed(&r.status, r.first, took, err != nil || r.status.LastSuccess != r.status.LastRun)
	r.tell()
	return o
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (r *Refresher) list(ctx context.Context, rest Rest, known Known) (Listing, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	return r.cfg.Source.Lister.List(ctx, rest, known)
}

// keep writes what a listing changes.
func (r *Refresher) keep(ctx context.Context, known Known, listing Listing, began time.Time) (merged, error) {
	for i := range listing.Scopes {
		scope := &listing.Scopes[i]
		for j := range scope.VMs {
			scope.VMs[j].Source, scope.VMs[j].Scope = r.cfg.Source.Name, scope.Name
		}
		scope.VMs = slices.DeleteFunc(scope.VMs, func(vm mesh.VM) bool { return vm.ID == "" })
	}
	m := merge(known, listing, r.remembered, began.UTC())
	r.status.Scopes, r.status.VMs = m.scopes, m.count
	if r.status.Written, r.status.Removed = len(m.put), len(m.gone); len(m.put)+len(m.gone) > 0 {
		at, err := r.cfg.Shelf.Write(ctx, m.put, m.gone)
		if at > 0 {
			r.status.Version = at
		}
		if err != nil {
			return m, err
		}
		r.cfg.Logger.Info("machines changed", "source", r.cfg.Source.Name, "written", len(m.put), "removed", len(m.gone), "machines", m.count)
	}
	if !m.failed && !m.held {
		r.status.LastSuccess = r.status.LastRun
	}
	return m, nil
}

// tell logs a fault when it is another than before.
func (r *Refresher) tell() {
	fault, scope := r.status.Error, ""
	for _, one := range r.status.Scopes {
		if fault == "" && one.Error != "" {
			fault, scope = one.Error, one.Name
		}
	}
	if fault == r.told {
		return
	}
	r.told = fault
	if fault == "" {
		r.cfg.Logger.Info("a source of machines is listed as a whole again", "source", r.status.Name, "machines", r.status.VMs)
		return
	}
	r.cfg.Logger.Warn("a source of machines: "+r.status.Kept(), "source", r.status.Name, "scope", scope, "error", fault)
}
