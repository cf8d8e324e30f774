package registry

import (
	"context"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ReleaseService takes a service out of its keeper's hands, or into those of another
// keeper; to "" leaves it nobody's in particular. The service stays as it is. For
// admins. Done twice, it is the same, and nothing is written.
func (s *Store) ReleaseService(ctx context.Context, name mesh.ServiceName, to mesh.Keeper, w Write) (mesh.Service, error) {
	return release(&services, to, w, func() (mesh.Service, error) { return s.Service(ctx, name) },
		func(one mesh.Service, w Write) (mesh.Service, error) { return s.PutService(ctx, one, w) })
}

// ReleaseRoute is [Store.ReleaseService] of a route.
func (s *Store) ReleaseRoute(ctx context.Context, name mesh.RouteName, to mesh.Keeper, w Write) (mesh.Route, error) {
	return release(&routes, to, w, func() (mesh.Route, error) { return s.Route(ctx, name) },
		func(one mesh.Route, w Write) (mesh.Route, error) { return s.PutRoute(ctx, one, w) })
}

func release[T any](k *kind[T], to mesh.Keeper, w Write, read func() (T, error), write func(T, Write) (T, error)) (T, error) {
	var none T
	if !w.By.Admin() {
		return none, mesh.Denied("the access token is limited to %s; only an admin takes something out of its keeper's hands", w.By.limit())
	}
	w.RequestID, w.Action, w.Keeper, w.handover = "", "release", to, true
	if to != "" {
		w.Action = "hand over"
	}
	for tries := 1; ; tries++ {
		stored, err := read()
		before := k.meta(&stored)
		if err != nil || before.Keeper == to {
			return stored, err
		}
		w.note = func(entry *mesh.AuditEntry) {
			entry.Changes = append(entry.Changes, mesh.AuditChange{Field: "keeper", Before: string(before.Keeper), After: string(to)})
		}
		w.Revision = before.Revision
		released, err := write(stored, w)
		if tries == editedAtMost || mesh.ReasonOf(err) != mesh.ReasonStale {
			return released, err
		}
	}
}
