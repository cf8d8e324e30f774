package operator

import (
	"context"
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// write has the registry hold what the object says.
func (c *objects) write(ctx context.Context, o object, found v1alpha1.Object) outcome {
	declared := found.Common()
	keeper := declared.Keeper(c.cluster)
	other, err := c.rival(ctx, o, declared)
	if err != nil {
		return outcome{reason: "ReadFailed", message: err.Error(), unknown: true}
	}
	c.wait(o, other != "")
	if other != "" {
		if has := c.written(o); has.keeper == keeper && !c.sameKeeper(ctx, o) { // it was the first to be seen
			if err := c.remove(ctx, o, keeper); err != nil {
				return refused(err)
			}
		}
		return outcome{reason: "NameTaken", message: fmt.Sprintf("the %s %q is already declared by the older %s", o.kind.noun(), o.Name, other), again: pause(time.Minute)}
	}
	registry := c.registry.KeptBy(keeper)
	has := c.written(o)
	if o.kind == routeKind {
		return c.writeRoute(ctx, o, declared, keeper)
	}
	service, err := declared.Service(c.cluster)
	if err != nil {
		return refused(err)
	}
	if own := service.OwnHostFaults(); len(own) > 0 {
		return c.forbid(ctx, o, keeper, notPermitted, "spec."+own.String())
	}
	why, err := c.elsewhere(ctx, o, service.Endpoints.Kubernetes)
	switch {
	case err != nil:
		return outcome{reason: "ReadFailed", message: err.Error(), unknown: true}
	case why != "":
		return c.forbid(ctx, o, keeper, notPermitted, why)
	case has.keeper == keeper && has.print == c.mirror.print(plainService(service)):
		return outcome{revision: has.revision}
	}
	stored, err := registry.PutService(ctx, service)
	return c.wrote(o, stored.Meta.Revision, err)
}

func (c *objects) writeRoute(ctx context.Context, o object, declared *v1alpha1.Declared, keeper mesh.Keeper) outcome {
	route, err := declared.Route()
	if err != nil {
		return refused(err)
	}
	has := c.written(o)
	c.backends.note(o, route.Services()...)
	reason, why := c.leadsElsewhere(o.Namespace, route.Services())
	switch {
	case why != "":
		return c.forbid(ctx, o, keeper, reason, why)
	case has.keeper == keeper && has.print == c.mirror.print(plainRoute(route)):
		return outcome{revision: has.revision}
	}
	stored, err := c.registry.KeptBy(keeper).PutRoute(ctx, route)
	return c.wrote(o, stored.Meta.Revision, err)
}

// forbid takes what is not permitted out of the registry, where it may be from a time
// when it was.
func (c *objects) forbid(ctx context.Context, o object, keeper mesh.Keeper, reason, why string) outcome {
	if c.written(o).keeper == keeper {
		if err := c.remove(ctx, o, keeper); err != nil {
			return refused(err)
		}
	}
	return outcome{reason: reason, message: why, again: pause(time.Minute)}
}

func (c *objects) wrote(o object, revision int64, err error) outcome {
	if err != nil {
		out := refused(err)
		c.wait(o, out.reason == "NameTaken")
		return out
	}
	c.log.Info("written to the registry", "object", o.String(), "revision", revision)
	return outcome{revision: revision}
}

// remove deletes what keeper keeps under the object's name, if it does.
func (c *objects) remove(ctx context.Context, o object, keeper mesh.Keeper) error {
	registry := c.registry.KeptBy(keeper)
	var err error
	if o.kind == routeKind {
		err = registry.DeleteRoute(ctx, mesh.RouteName(o.Name), 0)
	} else {
		err = registry.ForceDeleteService(ctx, mesh.ServiceName(o.Name), 0)
	}
	switch reason := mesh.ReasonOf(err); {
	case mesh.KindOf(err) == mesh.KindNotFound, reason == mesh.ReasonTaken, reason == mesh.ReasonKept:
		return nil // it is not this object's
	case mesh.KindOf(err) == mesh.KindInvalid && c.written(o).keeper != keeper:
		return nil // a name that the registry cannot have
	}
	return err
}

// written is what the registry holds under the object's name.
func (c *objects) written(o object) written {
	if o.kind == routeKind {
		return c.mirror.writtenRoute(mesh.RouteName(o.Name))
	}
	return c.mirror.writtenService(mesh.ServiceName(o.Name))
}
