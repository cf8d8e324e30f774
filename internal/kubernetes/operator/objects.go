package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// finalizer keeps an object until what it declared is out of the registry.
const finalizer = ours + "registry"

// objects writes the custom resources of one cluster to the registry.
type objects struct {
	cluster  string
	client   ctrl.Client // reads from the cache
	live     ctrl.Reader // reads from the API
	mirror   *mirror
	registry *client.Client
	counted  *counted
	recorder events.EventRecorder
	log      *slog.Logger
	patience patience
	backends *backends
	findings *findings
	keepers  *keepers
	told     statuses

	mu      sync.Mutex
	waiting map[target]map[object]bool // guarded by mu: who waits for a name that another has
}

// object names a custom resource.
type object struct {
	kind kind
	types.NamespacedName
}

// target is what a custom resource becomes in the registry.
type target struct {
	noun string // "service" or "route"
	name string
}

func (o object) target() target { return target{o.kind.noun(), o.Name} }

// pause is how soon something is tried again that changes without a word.
func pause(about time.Duration) time.Duration {
	return about*3/4 + rand.N(about/2) //nolint:gosec // jitter needs no secrecy
}

// Reconcile has the registry hold what an object says, and the object say how that went.
func (c *objects) Reconcile(ctx context.Context, o object) (reconcile.Result, error) {
	if err := c.mirror.awaitSynced(ctx); err != nil {
		return reconcile.Result{}, err
	}
	found := o.kind.empty()
	if err := c.client.Get(ctx, o.NamespacedName, found); apierrors.IsNotFound(err) {
		return c.orphan(ctx, o)
	} else if err != nil {
		return reconcile.Result{}, err
	}
	if !found.GetDeletionTimestamp().IsZero() {
		return c.end(ctx, o, found)
	}
	if !controllerutil.ContainsFinalizer(found, finalizer) {
		before := found.DeepCopyObject().(ctrl.Object)
		controllerutil.AddFinalizer(found, finalizer)
		if err := c.client.Patch(ctx, found, ctrl.MergeFromWithOptions(before, ctrl.MergeFromWithOptimisticLock{})); err != nil {
			return reconcile.Result{}, ignoreMoved(err)
		}
	}
	outcome := c.write(ctx, o, found)
	again, err := c.tell(ctx, o, found, outcome)
	return reconcile.Result{RequeueAfter: again}, err
}

// ignoreMoved leaves it to the cache's next event that an object changed or went.
func ignoreMoved(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// outcome is how writing an object went.
type outcome struct {
	revision int64 // in the registry; 0: it is not there
	reason   string
	message  string
	unknown  bool // it may be accepted yet; it is tried again with growing pauses
	again    time.Duration
}

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

// refused says for the object's status why it is not in the registry.
func refused(err error) outcome {
	out := outcome{message: err.Error(), again: pause(time.Minute)}
	switch mesh.KindOf(err) {
	case mesh.KindInvalid:
		out.reason = "Invalid"
	case mesh.KindConflict:
		out.reason = "Conflict"
		if reason := mesh.ReasonOf(err); reason == mesh.ReasonTaken || reason == mesh.ReasonKept {
			out.reason = "NameTaken"
		}
	case mesh.KindDenied:
		out.reason = "Denied"
		if mesh.ReasonOf(err) == client.ReasonToken { // as if the server were away: the token may be replaced any time
			out.reason, out.unknown, out.message = "TokenUnknown", true, "the registry does not know the operator's access token"
		}
	default:
		out.reason, out.unknown, out.message = "ServerUnreachable", true, lasting(err)
	}
	return out
}

// lasting is what an error of a server that is away says without its cause, whose
// ports are others at each try.
func lasting(err error) string {
	var told *mesh.Error
	if mesh.KindOf(err) == mesh.KindUnavailable && errors.As(err, &told) {
		return told.Message
	}
	return err.Error()
}

// end takes what an object that is being deleted declared out of the registry. Who
// depends on it does not keep it: the owner's deletion holds, and dependents see it
// as pending.
func (c *objects) end(ctx context.Context, o object, found v1alpha1.Object) (reconcile.Result, error) {
	c.wait(o, false)
	c.backends.note(o)
	if !controllerutil.ContainsFinalizer(found, finalizer) {
		return reconcile.Result{}, nil
	}
	if !c.sameKeeper(ctx, o) {
		if err := c.remove(ctx, o, found.Common().Keeper(c.cluster)); err != nil {
			c.log.Warn("what a deleted object declared is still in the registry; trying again", "object", o.String(), "error", err)
			if err := c.tellWaiting(ctx, o, found, err); err != nil {
				return reconcile.Result{}, err
			}
			return reconcile.Result{RequeueAfter: c.patience.next(o, "removed", firstPause, awayPause)}, nil
		}
	}
	before := found.DeepCopyObject().(ctrl.Object)
	controllerutil.RemoveFinalizer(found, finalizer)
	if err := c.client.Patch(ctx, found, ctrl.MergeFromWithOptions(before, ctrl.MergeFromWithOptimisticLock{})); ignoreMoved(err) != nil {
		return reconcile.Result{}, err
	} else if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	c.patience.forget(o)
	c.told.forget(o)
	c.log.Info("removed from the registry", "object", o.String())
	return reconcile.Result{}, nil
}

// orphan removes from the registry what an object declared that is gone although nobody
// took its finalizer off in order.
func (c *objects) orphan(ctx context.Context, o object) (reconcile.Result, error) {
	c.wait(o, false)
	c.patience.forget(o)
	c.told.forget(o)
	c.backends.note(o)
	keeper := (&v1alpha1.Declared{ObjectMeta: objectMeta(o)}).Keeper(c.cluster)
	if c.written(o).keeper != keeper {
		return reconcile.Result{}, nil
	}
	for _, k := range o.kind.sharing() { // the cache is not asked: it may lag behind
		err := c.live.Get(ctx, o.NamespacedName, k.empty())
		if err == nil {
			return reconcile.Result{}, nil
		}
		if !apierrors.IsNotFound(err) {
			return reconcile.Result{}, err
		}
	}
	if err := c.remove(ctx, o, keeper); err != nil {
		return reconcile.Result{}, err
	}
	c.log.Warn("removed from the registry what an object declared that is gone", "object", o.String())
	return reconcile.Result{}, nil
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
