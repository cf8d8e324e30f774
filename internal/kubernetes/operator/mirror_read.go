package operator

import (
	"context"
	"maps"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What the controllers read of the mirror.

// isSynced says whether the mirror has been filled.
func (m *mirror) isSynced() bool {
	select {
	case <-m.synced:
		return true
	default:
		return false
	}
}

// awaitSynced waits until the mirror has been filled, or gives why ctx ended before. The
// workers that wait leave all the rest in their queue.
func (m *mirror) awaitSynced(ctx context.Context) error {
	select {
	case <-m.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// podsOf gives the pods that a service is to have, nil if it has none or is gone, and
// its port.
func (m *mirror) podsOf(name mesh.ServiceName) (*mesh.KubernetesEndpoints, mesh.Port) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.all[name]; s != nil {
		return s.pods, s.port
	}
	return nil, 0
}

// keptOf gives a copy of what a keeper has of a service, by fingerprint.
func (m *mirror) keptOf(name mesh.ServiceName, keeper mesh.Keeper) map[mesh.InstanceID]uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.all[name]; s != nil {
		return maps.Clone(s.kept[keeper])
	}
	return nil
}

// withPods gives the services that have pods in a namespace of a cluster.
func (m *mirror) withPods(cluster, namespace string) map[mesh.ServiceName]*mesh.KubernetesEndpoints {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := map[mesh.ServiceName]*mesh.KubernetesEndpoints{}
	for name, s := range m.all {
		if s.pods.Has(cluster) && s.pods.Namespace == namespace {
			out[name] = s.pods
		}
	}
	return out
}

func (m *mirror) writtenService(name mesh.ServiceName) written {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.all[name]; s != nil {
		return s.written
	}
	return written{}
}

func (m *mirror) writtenRoute(name mesh.RouteName) written {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.routes[name]
}
