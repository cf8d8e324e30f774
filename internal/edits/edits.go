package edits

import (
	"context"
	"fmt"
	"slices"

	"github.com/heddle-mesh/heddle/internal/admission"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// DeclareCall adds a callee to a caller's dependencies, and gives the caller as it
// is stored then. Done twice, it is the same, and nothing is written.
func DeclareCall(ctx context.Context, store *registry.Store, view *catalog.View, caller, callee mesh.ServiceName, write registry.Write) (stored mesh.Service, added bool, err error) {
	stored, err = store.EditService(ctx, caller, write, func(service *mesh.Service) (bool, error) {
		if added = !slices.Contains(service.Dependencies, callee); !added {
			return false, nil
		}
		service.Dependencies = append(slices.Clone(service.Dependencies), callee)
		return true, mesh.Invalid("declare that "+string(caller)+" calls "+string(callee), admission.Service(view, service))
	})
	return stored, added, err
}

// RollBack writes a service as it was at revision write.To, if it would be accepted
// now.
func RollBack(ctx context.Context, store *registry.Store, view *catalog.View, name mesh.ServiceName, write registry.Write) (mesh.Service, error) {
	title := "service " + mesh.Cut(string(name), 100)
	states, err := store.ServiceHistory(ctx, name, registry.Only(write.To))
	if err != nil {
		return mesh.Service{}, err
	}
	service, err := registry.RollbackTo(states, title, write.To)
	if err != nil {
		return mesh.Service{}, err
	}
	refused := fmt.Sprintf("%s cannot be rolled back to revision %d: it would be refused now", title, write.To)
	if err := mesh.Invalid(refused, admission.Service(view, service)); err != nil {
		return mesh.Service{}, err
	}
	write.Action = "rollback"
	return store.PutService(ctx, *service, write)
}
