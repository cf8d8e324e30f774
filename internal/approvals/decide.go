package approvals

import (
	"context"
	"errors"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// Approve lets a caller in, also one that was refused, and gives the callee as it is
// stored then. Done twice, it is the same, and nothing is written.
func Approve(ctx context.Context, store *registry.Store, callee mesh.ServiceName, caller string, write registry.Write) (mesh.Service, error) {
	write.Action = "approve"
	return decide(ctx, store, callee, write, func(access *mesh.Access) error {
		access.Approved, access.Refused = with(access.Approved, caller), without(access.Refused, caller)
		return nil
	})
}

// Refuse says that a caller may not call the service, also one that was approved: it
// waits for no approval any more. Done twice, it is the same, and nothing is written.
func Refuse(ctx context.Context, store *registry.Store, callee mesh.ServiceName, caller string, write registry.Write) (mesh.Service, error) {
	write.Action = "refuse"
	return decide(ctx, store, callee, write, func(access *mesh.Access) error {
		access.Approved, access.Refused = without(access.Approved, caller), with(access.Refused, caller)
		return nil
	})
}

// Revoke takes a decision back, an approval or a refusal: a caller that has declared
// the service waits again. Not found: there is none.
func Revoke(ctx context.Context, store *registry.Store, callee mesh.ServiceName, caller string, write registry.Write) (mesh.Service, error) {
	write.Action = "revoke"
	return decide(ctx, store, callee, write, func(access *mesh.Access) error {
		if !slices.Contains(access.Approved, caller) && !slices.Contains(access.Refused, caller) {
			return mesh.NotFound("%q is no approved caller of service %q, nor a refused one", mesh.Cut(caller, 100), callee)
		}
		access.Approved, access.Refused = without(access.Approved, caller), without(access.Refused, caller)
		return nil
	})
}

// with gives the callers and one more, once.
func with(callers []string, caller string) []string {
	if slices.Contains(callers, caller) {
		return callers
	}
	return append(slices.Clone(callers), caller)
}

// without gives the callers but one.
func without(callers []string, caller string) []string {
	return slices.DeleteFunc(slices.Clone(callers), func(one string) bool { return one == caller })
}

// decide changes what a service's owner has decided about callers.
func decide(ctx context.Context, store *registry.Store, name mesh.ServiceName, write registry.Write, change func(*mesh.Access) error) (mesh.Service, error) {
	stored, err := store.EditService(ctx, name, write, func(service *mesh.Service) (bool, error) {
		if service.Access.Callers != mesh.ApprovedCallers {
			return false, mesh.Invalid("service "+string(name)+" approves no callers", mesh.Faults{{Path: "access.callers", Message: "is not \"approved\": whoever declares the service may call it; its owner has to set that first"}})
		}
		before := service.Access
		if err := change(&service.Access); err != nil {
			return false, err
		}
		return !slices.Equal(before.Approved, service.Access.Approved) || !slices.Equal(before.Refused, service.Access.Refused), nil
	})
	var refused *mesh.Error
	if errors.As(err, &refused) && refused.Reason == mesh.ReasonKept {
		refused.Message += ". Decisions about its callers are written there too, to access.approved and access.refused"
	}
	return stored, err
}
