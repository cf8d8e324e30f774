package operator

import (
	"context"
	"hash/maphash"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// mirror is what the registry holds, as far as the operator needs it. One goroutine
// follows the registry; the controllers read.
type mirror struct {
	seed maphash.Seed // of fingerprints

	synced chan struct{} // closed once it has been filled

	mu     sync.RWMutex
	seen   int64 // guarded by mu, as all below: the registry's revision up to which there may be changes
	all    map[mesh.ServiceName]*mirroredService
	routes map[mesh.RouteName]written
	next   *mirror // what is being read anew, until it is whole
	notify map[int]func(change)
	last   int // key of notify
}

// written is an object of the registry.
type written struct {
	keeper   mesh.Keeper
	revision int64
	print    uint64
}

// mirroredService is a service, which may be gone while its instances are there.
type mirroredService struct {
	written
	declared bool
	pods     *mesh.KubernetesEndpoints // nil: it has none
	port     mesh.Port
	kept     map[mesh.Keeper]map[mesh.InstanceID]uint64
}

// change is what became different in the registry. Exactly one name is set.
type change struct {
	service  mesh.ServiceName // its declaration
	route    mesh.RouteName
	of       mesh.ServiceName // instances of it, that keeper keeps
	instance mesh.InstanceID  // the only one of them; "": any
	print    uint64           // of that instance; 0: it is gone
	keeper   mesh.Keeper
	previous mesh.Keeper // who kept the service or route before
}

func newMirror() *mirror {
	return &mirror{seed: maphash.MakeSeed(), synced: make(chan struct{}), all: map[mesh.ServiceName]*mirroredService{}, routes: map[mesh.RouteName]written{}, notify: map[int]func(change){}}
}

// follow keeps the mirror until ctx ends.
func (m *mirror) follow(ctx context.Context, registry *client.Client, log *slog.Logger) error {
	told := false
	for {
		// Events goes on by itself after a break; it returns when there was no
		// connection to begin with.
		err := registry.Events(ctx, 0, func(e client.Event) error { told = false; m.take(e); return nil })
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if mesh.KindOf(err) == mesh.KindInvalid {
			return err
		}
		if !told {
			log.Warn("the registry cannot be followed; trying again and again", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500*time.Millisecond + rand.N(500*time.Millisecond)): //nolint:gosec // jitter needs no secrecy
		}
	}
}

// take applies one event.
func (m *mirror) take(e client.Event) {
	m.mu.Lock()
	if e.Revision > 0 {
		m.seen = e.Revision
	}
	var changes []change
	switch e.Type {
	case client.EventReset:
		m.next = newMirror()
	case client.EventSynced:
		if m.next != nil {
			changes = m.replace(m.next)
			m.next = nil
		}
		if !m.isSynced() {
			close(m.synced)
		}
	case client.EventChange:
		if m.next != nil {
			m.next.apply(e, m.seed)
		} else {
			changes = m.apply(e, m.seed)
		}
	}
	tell := slices.Collect(maps.Values(m.notify))
	m.mu.Unlock()
	for _, one := range changes {
		for _, f := range tell {
			f(one)
		}
	}
}

// replace takes what was read anew, and names all that is or was there: what
// differs is found by whoever looks.
func (m *mirror) replace(next *mirror) []change {
	var changes []change
	for name, was := range m.all {
		if next.all[name] == nil {
			changes = append(changes, was.changes(name)...)
		}
	}
	for name, was := range m.routes {
		if _, is := next.routes[name]; !is {
			changes = append(changes, change{route: name, previous: was.keeper})
		}
	}
	for name, is := range next.all {
		changes = append(changes, is.changes(name)...)
	}
	for name, is := range next.routes {
		changes = append(changes, change{route: name, keeper: is.keeper})
	}
	m.all, m.routes = next.all, next.routes
	return changes
}

func (s *mirroredService) changes(name mesh.ServiceName) []change {
	out := []change{{service: name, keeper: s.keeper}}
	for keeper := range s.kept {
		out = append(out, change{of: name, keeper: keeper})
	}
	return out
}

func (m *mirror) apply(e client.Event, seed maphash.Seed) []change {
	switch {
	case e.Service != nil:
		return m.applyService(e, seed)
	case e.Route != nil:
		was := m.routes[e.Route.Name]
		if e.Deleted {
			delete(m.routes, e.Route.Name)
			return []change{{route: e.Route.Name, previous: was.keeper}}
		}
		m.routes[e.Route.Name] = written{e.Route.Meta.Keeper, e.Route.Meta.Revision, printOf(seed, plainRoute(*e.Route))}
		return []change{{route: e.Route.Name, keeper: e.Route.Meta.Keeper, previous: was.keeper}}
	case e.Instance != nil:
		return m.applyInstance(e, seed)
	}
	return nil
}

func (m *mirror) applyService(e client.Event, seed maphash.Seed) []change {
	s := m.service(e.Service.Name)
	was := s.keeper
	s.declared = !e.Deleted
	s.written, s.pods, s.port = written{}, nil, 0
	if s.declared {
		s.written = written{e.Service.Meta.Keeper, e.Service.Meta.Revision, printOf(seed, plainService(*e.Service))}
		s.pods, s.port = e.Service.Endpoints.Kubernetes, e.Service.Port
	}
	m.tidy(e.Service.Name)
	return []change{{service: e.Service.Name, keeper: s.keeper, previous: was}}
}

func (m *mirror) applyInstance(e client.Event, seed maphash.Seed) []change {
	i := e.Instance
	s := m.service(i.Service)
	keeper := i.Meta.Keeper
	for other, kept := range s.kept { // of a deletion not more than the name may be known
		if _, is := kept[i.ID]; is && (other != keeper || e.Deleted || i.Health == mesh.Removed) {
			delete(kept, i.ID)
			keeper = other
		}
	}
	print := uint64(0)
	if keeper != "" && !e.Deleted && i.Health != mesh.Removed {
		if s.kept == nil {
			s.kept = map[mesh.Keeper]map[mesh.InstanceID]uint64{}
		}
		if s.kept[keeper] == nil {
			s.kept[keeper] = map[mesh.InstanceID]uint64{}
		}
		print = printOf(seed, plainInstance(*i))
		s.kept[keeper][i.ID] = print
	}
	m.tidy(i.Service)
	if keeper == "" {
		return nil
	}
	return []change{{of: i.Service, instance: i.ID, print: print, keeper: keeper}}
}

func (m *mirror) service(name mesh.ServiceName) *mirroredService {
	s := m.all[name]
	if s == nil {
		s = &mirroredService{}
		m.all[name] = s
	}
	return s
}

// tidy forgets what is gone.
func (m *mirror) tidy(name mesh.ServiceName) {
	s := m.all[name]
	maps.DeleteFunc(s.kept, func(_ mesh.Keeper, kept map[mesh.InstanceID]uint64) bool { return len(kept) == 0 })
	if !s.declared && len(s.kept) == 0 {
		delete(m.all, name)
	}
}

// subscribe has f called with each change, and with all there is if the mirror is
// filled already. f must not block.
func (m *mirror) subscribe(f func(change)) (unsubscribe func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	key := m.last
	m.notify[key] = f
	for name, one := range m.all {
		for _, c := range one.changes(name) {
			f(c)
		}
	}
	for name, one := range m.routes {
		f(change{route: name, keeper: one.keeper})
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.notify, key)
	}
}

// revision is that of the latest change that came.
func (m *mirror) revision() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.seen
}
