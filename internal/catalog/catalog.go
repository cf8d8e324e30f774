package catalog

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config has settings whose zero values work.
type Config struct {
	// ExpiryWindow is how long expired instances are remembered in order to
	// tell a mass expiry from single deaths; default 1 minute.
	ExpiryWindow time.Duration
	Clock        func() time.Time // default time.Now
	Logger       *slog.Logger     // default: discard
}

// Catalog holds the current view. Apply calls are serialized; reading is lock-free.
type Catalog struct {
	cfg     Config
	current atomic.Pointer[View]

	mu      sync.Mutex
	feeds   []*Feed                       // guarded by mu
	expired map[mesh.ServiceName][]expiry // guarded by mu
	removed map[mesh.InstanceKey]struct{} // guarded by mu: deregistered, deletion still to come

	forgotten time.Time // guarded by mu: when old expiries were last let go
}

// New makes an empty catalog, not yet synced.
func New(cfg Config) *Catalog {
	if cfg.ExpiryWindow == 0 {
		cfg.ExpiryWindow = time.Minute
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Catalog{cfg: cfg, expired: map[mesh.ServiceName][]expiry{}, removed: map[mesh.InstanceKey]struct{}{}}
	c.current.Store(emptyView())
	return c
}

// View gives the current view; never nil.
func (c *Catalog) View() *View { return c.current.Load() }

// Subscribe opens a feed; its first Wait returns at once.
func (c *Catalog) Subscribe() *Feed {
	f := &Feed{catalog: c, wake: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.feeds = append(c.feeds, f)
	f.publish(c.View(), Changes{})
	return f
}

// At waits for a view that is not before a mark. The registry that it is of may have been
// restored to an earlier revision since: what was written then is not to come.
func (c *Catalog) At(ctx context.Context, mark Mark) (*View, error) {
	if view := c.View(); !view.Mark().Before(mark) {
		return view, nil
	}
	feed := c.Subscribe()
	defer feed.Close()
	for {
		view, _, err := feed.Wait(ctx)
		if err != nil {
			return nil, mesh.Unavailable(err, "what was written is not read yet")
		}
		if !view.Mark().Before(mark) {
			return view, nil
		}
	}
}

func (c *Catalog) unsubscribe(f *Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.feeds = slices.DeleteFunc(c.feeds, func(one *Feed) bool { return one == f })
}

// Apply merges changes, in the order of their revisions, into a new view and
// feeds it to the readers. synced says that the view is complete from here on. A revision
// before the view's says that the registry was restored to it.
func (c *Catalog) Apply(revision int64, synced bool, changes []mesh.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.View()
	e := edit{catalog: c, view: *old, now: c.cfg.Clock()}
	for _, change := range changes {
		switch {
		case change.Service != nil:
			e.service(change.Service, change.Deleted)
			e.unreadable(change.Service.Name, change.Unreadable)
		case change.Instance != nil:
			e.instance(change.Instance, change.Deleted)
		case change.Route != nil:
			e.route(change.Route, change.Deleted)
		case change.Runtime != nil:
			e.runtime(change.Runtime, change.Deleted)
		case change.TokenKeys != nil:
			e.tokenKeys(change.TokenKeys, change.Deleted)
		case change.Authorizer != nil:
			e.authorizer(change.Authorizer, change.Deleted)
		case change.VM != nil:
			e.vm(change.VM, change.Deleted)
		case change.VMSnapshot != nil:
			e.view.vmRevision, e.view.machines = change.Revision, new(MachinesMark)
		case change.Discovery != nil:
			e.source(change.Discovery, change.Deleted)
		case change.Roster != nil:
			e.roster(change.Roster, change.Deleted)
		case change.Placing != nil:
			e.placing(change.Placing, change.Deleted)
		}
	}
	if old.synced {
		e.changes.Written, e.changes.Traces = Written(changes, e.now), traces(changes)
	}
	if len(e.changes.Routes) > 0 {
		e.indexRoutes()
	}
	rewound := revision < old.mark.Revision
	e.view.mark.Revision = revision
	if rewound {
		e.view.mark.Epoch++
	}
	if synced && !old.synced {
		e.view.synced, e.changes.Synced = true, true
	}
	next := e.view
	c.current.Store(&next)
	if e.changes.Empty() && !rewound {
		return
	}
	for _, f := range c.feeds {
		f.publish(&next, e.changes)
	}
}

// edit is one Apply under way.
type edit struct {
	catalog *Catalog
	view    View
	changes Changes
	now     time.Time

	owns bool // view.wanting and view.asMachines are this edit's own
}

func (e *edit) service(s *mesh.Service, deleted bool) {
	name := s.Name
	var before []mesh.ServiceName
	if old, ok := e.view.services.get(name); ok {
		before = old.Dependencies
		for _, callee := range before {
			callers, _ := e.view.dependents.get(callee)
			e.setDependents(callee, remove(callers, name, cmp.Compare[mesh.ServiceName]))
		}
	}
	e.changes.Services = union(e.changes.Services, map[mesh.ServiceName]struct{}{name: {}})
	e.wants(s, deleted)
	if deleted {
		e.view.services = e.view.services.without(name)
		e.calls(before, nil)
		return
	}
	e.calls(before, s.Dependencies)
	e.view.services = e.view.services.with(name, s)
	for _, callee := range s.Dependencies {
		callers, _ := e.view.dependents.get(callee)
		e.setDependents(callee, insert(callers, name, name, cmp.Compare[mesh.ServiceName]))
	}
}

// calls notes whose callers change when somebody calls other services than before.
func (e *edit) calls(before, now []mesh.ServiceName) {
	changed := map[mesh.ServiceName]struct{}{}
	for _, one := range now {
		changed[one] = struct{}{}
	}
	for _, one := range before {
		if _, still := changed[one]; still {
			delete(changed, one)
		} else {
			changed[one] = struct{}{}
		}
	}
	e.changes.Callers = union(e.changes.Callers, changed)
}

// unreadable notes whether there is a service of that name that cannot be read.
func (e *edit) unreadable(name mesh.ServiceName, is bool) {
	if e.view.Unreadable(name) == is {
		return
	}
	next := maps.Clone(e.view.unreadable)
	if next == nil {
		next = map[mesh.ServiceName]struct{}{}
	}
	if is {
		next[name] = struct{}{}
	} else {
		delete(next, name)
	}
	e.view.unreadable = next
}

func (e *edit) setDependents(callee mesh.ServiceName, callers []mesh.ServiceName) {
	if len(callers) == 0 {
		e.view.dependents = e.view.dependents.without(callee)
		return
	}
	e.view.dependents = e.view.dependents.with(callee, callers)
}

func (e *edit) route(r *mesh.Route, deleted bool) {
	routes := make(map[mesh.RouteName]*mesh.Route, len(e.view.routes)+1)
	for name, one := range e.view.routes {
		routes[name] = one
	}
	if old, there := routes[r.Name]; there {
		e.calls(old.Services(), nil)
	}
	if deleted {
		delete(routes, r.Name)
	} else {
		routes[r.Name] = r
		e.calls(nil, r.Services())
	}
	e.view.routes = routes
	e.changes.Routes = union(e.changes.Routes, map[mesh.RouteName]struct{}{r.Name: {}})
}

// indexRoutes finds the routes to each service.
func (e *edit) indexRoutes() {
	e.view.routesTo = map[mesh.ServiceName][]*mesh.Route{}
	for _, one := range e.view.Routes() {
		for _, service := range one.Services() {
			e.view.routesTo[service] = append(e.view.routesTo[service], one)
		}
	}
}

func (e *edit) vm(v *mesh.VM, deleted bool) {
	key := v.Key()
	if deleted {
		e.view.vms = e.view.vms.without(key.String())
	} else {
		e.view.vms = e.view.vms.with(key.String(), v)
	}
	e.changes.VMs = union(e.changes.VMs, map[mesh.VMKey]struct{}{key: {}})
	e.view.machines = new(MachinesMark)
}

// source, roster and placing wake nobody: what they tell is for who asks.
func (e *edit) source(s *mesh.DiscoverySource, deleted bool) {
	byName := func(one *mesh.DiscoverySource, name string) int { return cmp.Compare(one.Name, name) }
	if deleted {
		e.view.sources = remove(e.view.sources, s.Name, byName)
		return
	}
	e.view.sources = insert(e.view.sources, s, s.Name, byName)
}

func (e *edit) roster(r *mesh.DiscoveryRoster, deleted bool) {
	if deleted {
		r = &mesh.DiscoveryRoster{}
	}
	e.view.roster = r
}

func (e *edit) placing(p *mesh.Placing, deleted bool) {
	if deleted {
		p = &mesh.Placing{}
	}
	e.view.placing = p
}

func (e *edit) runtime(r *mesh.Runtime, deleted bool) {
	if deleted {
		r = &mesh.Runtime{}
	}
	e.view.runtime = r
	e.changes.Runtime = true
}

func (e *edit) tokenKeys(k *mesh.TokenKeys, deleted bool) {
	if deleted {
		k = nil
	}
	e.view.tokenKeys = k
	e.changes.Trust = true
}

// authorizer keeps the last one that there was, marked as stale, until another
// comes: see [View.Authorizers].
func (e *edit) authorizer(a *mesh.Authorizer, deleted bool) {
	byID := func(one *mesh.Authorizer, id string) int { return cmp.Compare(one.ID, id) }
	list := e.view.authorizers
	switch {
	case !deleted:
		alive := slices.DeleteFunc(slices.Clone(list), func(one *mesh.Authorizer) bool { return one.Stale })
		e.view.authorizers = insert(alive, a, a.ID, byID)
	case len(list) == 1 && list[0].ID == a.ID:
		last := *list[0]
		last.Stale = true
		e.view.authorizers = []*mesh.Authorizer{&last}
	default:
		e.view.authorizers = remove(list, a.ID, byID)
	}
	e.changes.Trust = true
}
