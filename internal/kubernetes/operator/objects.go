package operator

import (
	"context"
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
)

// finalizer keeps an object until what it declared is out of the registry.
const finalizer = v1alpha1.Prefix + "registry"

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
