package bridge

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// mirror is what the mesh has, as far as a bridge needs it. It stays as it is while the
// server is away.
type mirror struct {
	mu        sync.Mutex
	synced    bool                                // guarded by mu: the whole mesh was seen
	services  map[mesh.ServiceName]*mesh.Service  // guarded by mu
	instances map[mesh.InstanceKey]*mesh.Instance // guarded by mu
	revision  int64                               // guarded by mu: of what was seen last
	lost      error                               // guarded by mu: why the server is not followed now; nil: it is, or nobody knows yet
	coming    *mirror                             // of follow alone: the whole mesh that is being sent
	wakes     []chan struct{}                     // each of capacity 1
}

func newMirror() *mirror {
	return &mirror{services: map[mesh.ServiceName]*mesh.Service{}, instances: map[mesh.InstanceKey]*mesh.Instance{}}
}

// changed gives a channel that is sent to when the mirror has changed. Call it before
// follow runs.
func (m *mirror) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	wake := make(chan struct{}, 1)
	m.wakes = append(m.wakes, wake)
	return wake
}

// How long a server that was lost is left alone, longer and longer.
const (
	retrySoon = 250 * time.Millisecond
	retryLate = 5 * time.Second
)

// follow keeps the mirror until ctx ends. tell is told of what went wrong, nil when it
// goes again.
func (m *mirror) follow(ctx context.Context, server Mesh, tell func(error)) {
	pause := retrySoon
	for ctx.Err() == nil {
		m.coming = newMirror() // a stream from the beginning brings the whole mesh
		err := server.Stream(ctx, 0, func(e client.Event) error {
			m.take(e)
			if e.Type == client.EventSynced {
				m.loses(nil)
				tell(nil)
				pause = retrySoon
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		m.loses(err)
		tell(err)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter needs no secrecy
		}
		pause = min(2*pause, retryLate)
	}
}

// loses notes why the server is not followed, nil if it is.
func (m *mirror) loses(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = why
}

// how says up to which revision the mesh is known, whether it was seen at all, and why it
// is not followed now, if so.
func (m *mirror) how() (revision int64, synced bool, lost error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revision, m.synced, m.lost
}

// take takes one event. What was there before counts until the whole mesh was sent anew:
// nothing is withdrawn because a server begins again.
func (m *mirror) take(e client.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	into := m
	switch e.Type {
	case client.EventReset:
		m.coming = newMirror()
		return
	case client.EventSynced:
		if m.coming != nil {
			m.services, m.instances, m.synced, m.coming = m.coming.services, m.coming.instances, true, nil
			m.revision = e.Revision
		}
	case client.EventChange:
		if m.coming != nil {
			into = m.coming
		}
		into.change(e)
		if into != m {
			return
		}
		m.revision = e.Revision
	}
	for _, wake := range m.wakes {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

func (m *mirror) change(e client.Event) {
	switch {
	case e.Service != nil && e.Deleted:
		delete(m.services, e.Service.Name)
	case e.Service != nil:
		m.services[e.Service.Name] = e.Service
	case e.Instance == nil:
	case e.Deleted, e.Instance.Health == mesh.Removed:
		delete(m.instances, e.Instance.Key())
	default:
		m.instances[e.Instance.Key()] = e.Instance
	}
}

// bridgeOf gives the bridge that has registered a copy of its fleet, "" if nobody is known to.
func (m *mirror) bridgeOf(key mesh.InstanceKey) (name string, registered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.instances[key]
	if one == nil {
		return "", false
	}
	return one.Labels[BridgeLabel], true
}

// declared says whether the mesh has a service of that name.
func (m *mirror) declared(name mesh.ServiceName) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.services[name] != nil
}
