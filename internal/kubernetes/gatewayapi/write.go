package gatewayapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// write has the registry hold the result: services before the routes that name them,
// and gone behind those. What the registry refuses is said of the route; anything else
// is an error, and tried again.
func (c *Controller) write(ctx context.Context, held *held, result *Result) error {
	var failed []error
	services, routes := map[mesh.ServiceName]bool{}, map[mesh.RouteName]bool{}
	for _, one := range result.Services {
		services[one.Name] = true
		has := held.services[one.Name]
		keeper := KeeperOf(c.Cluster, one.Namespace)
		if has.Meta.Keeper == keeper && same(has, one.Service, func(s *mesh.Service) { s.Meta = mesh.Meta{} }) {
			continue
		}
		if _, err := c.keep(keeper).PutService(ctx, one.Service); err != nil {
			failed = append(failed, fmt.Errorf("write service %s: %w", one.Name, err))
		}
	}
	for _, one := range result.Routes {
		routes[one.Name] = true
		has := held.routes[one.Name]
		keeper := KeeperOf(c.Cluster, one.From.Namespace)
		if has.Meta.Keeper == keeper && same(has, one.Route, func(r *mesh.Route) { r.Meta, r.Created = mesh.Meta{}, 0 }) {
			continue
		}
		if _, err := c.keep(keeper).PutRoute(ctx, one.Route); err != nil {
			result.refuse(one.From, err)
			if !final(err) {
				failed = append(failed, fmt.Errorf("write route %s: %w", one.Name, err))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(held.routes)) {
		if !routes[name] {
			failed = append(failed, gone(c.keep(held.routes[name].Meta.Keeper).DeleteRoute(ctx, name, 0)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(held.services)) {
		if !services[name] {
			failed = append(failed, gone(c.keep(held.services[name].Meta.Keeper).ForceDeleteService(ctx, name, 0)))
		}
	}
	return errors.Join(failed...)
}

// keep is the registry for writing: what it had before is not what it has after.
func (c *Controller) keep(keeper mesh.Keeper) *client.Client {
	c.changed.Store(true)
	return c.Registry.KeptBy(keeper)
}

// same compares what the registry has with what it is to have, as they travel.
func same[T any](has, want T, plain func(*T)) bool {
	plain(&has)
	plain(&want)
	one, err := json.Marshal(has)
	other, also := json.Marshal(want)
	return err == nil && also == nil && bytes.Equal(one, other)
}

// final says whether the registry will say the same again until something changes, of
// which there is word.
func final(err error) bool {
	kind := mesh.KindOf(err)
	if mesh.ReasonOf(err) == client.ReasonToken { // another token comes without a word
		return false
	}
	return kind == mesh.KindDenied || kind == mesh.KindInvalid || kind == mesh.KindConflict
}

func gone(err error) error {
	if mesh.KindOf(err) == mesh.KindNotFound {
		return nil
	}
	return err
}

// refuse says in a route's status that the registry does not have it.
func (r *Result) refuse(of Object, err error) {
	status := r.Statuses.Routes[of]
	for i := range status.Parents {
		p := &status.Parents[i]
		if p.ControllerName != ControllerName || len(p.Conditions) == 0 {
			continue
		}
		said := after(p.Conditions, p.Conditions[0].ObservedGeneration)
		said.set(string(gw.RouteConditionAccepted), false, string(gw.RouteReasonPending), err.Error())
		p.Conditions = said.list
	}
}

// tell writes the statuses that are not what they were.
func (c *Controller) tell(ctx context.Context, s *Snapshot, result *Result) error {
	var failed []error
	for i := range s.Classes {
		before := &s.Classes[i]
		if status, ours := result.Statuses.Classes[before.Name]; ours {
			failed = append(failed, patch(ctx, c, before, before.DeepCopy(), func(o *gw.GatewayClass) any { return &o.Status }, func(o *gw.GatewayClass) { o.Status = status }))
		}
	}
	for i := range s.Gateways {
		before := &s.Gateways[i]
		if status, ours := result.Statuses.Gateways[nameOf(before)]; ours {
			failed = append(failed, patch(ctx, c, before, before.DeepCopy(), func(o *gw.Gateway) any { return &o.Status }, func(o *gw.Gateway) { o.Status = status }))
		}
	}
	for i := range s.HTTPRoutes {
		before := &s.HTTPRoutes[i]
		if status, ours := result.Statuses.Routes[Object{httpRoute, nameOf(before)}]; ours {
			failed = append(failed, patch(ctx, c, before, before.DeepCopy(), func(o *gw.HTTPRoute) any { return &o.Status }, func(o *gw.HTTPRoute) { o.Status.RouteStatus = status }))
		}
	}
	for i := range s.GRPCRoutes {
		before := &s.GRPCRoutes[i]
		if status, ours := result.Statuses.Routes[Object{grpcRoute, nameOf(before)}]; ours {
			failed = append(failed, patch(ctx, c, before, before.DeepCopy(), func(o *gw.GRPCRoute) any { return &o.Status }, func(o *gw.GRPCRoute) { o.Status.RouteStatus = status }))
		}
	}
	return errors.Join(failed...)
}

// patch writes a status, if it is another. With the version that it was made from:
// lists of conditions are replaced as a whole, and others may write to them. An object
// that has changed meanwhile is looked at again for that.
func patch[T ctrl.Object](ctx context.Context, c *Controller, before, now T, status func(T) any, set func(T)) error {
	set(now)
	if equality.Semantic.DeepEqual(status(before), status(now)) {
		return nil
	}
	err := c.Client.Status().Patch(ctx, now, ctrl.MergeFromWithOptions(before, ctrl.MergeFromWithOptimisticLock{}))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status of %T %s: %w", now, nameOf(now), err)
	}
	return nil
}
