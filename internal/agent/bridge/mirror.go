package bridge

import (
	"context"
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

// retryInterval is how long a server that refuses, or was never reached, is left alone.
const retryInterval = 5 * time.Second

// follow keeps the mirror until ctx ends. tell is told of what went wrong, nil when it
// goes again.
func (m *mirror) follow(ctx context.Context, server Mesh, tell func(error)) {
	for ctx.Err() == nil {
		m.coming = newMirror() // a stream from the beginning brings the whole mesh
		err := server.Events(ctx, 0, func(e client.Event) error {
			m.take(e)
			if e.Type == client.EventSynced {
				tell(nil)
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		tell(err)
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
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
		}
	case client.EventChange:
		if m.coming != nil {
			into = m.coming
		}
		into.change(e)
		if into != m {
			return
		}
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

// declared says whether the mesh has a service of that name.
func (m *mirror) declared(name mesh.ServiceName) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.services[name] != nil
}
