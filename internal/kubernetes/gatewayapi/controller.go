package gatewayapi

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/internal/client"
)

// Controller has the registry hold what follows from a cluster's Gateway API, and the
// objects say how that went.
type Controller struct {
	Cluster  string // its name in the mesh
	Client   ctrl.Client
	Live     ctrl.Reader // past the cache: for Secrets, which are not kept in memory
	Registry *client.Client
	Log      *slog.Logger
	Metrics  *Metrics // may be nil
	// Changes calls back when services and routes of the registry change, until the
	// function that it gives is called.
	Changes func(func()) (end func())

	pace    pace
	changed atomic.Bool // the registry may be another than known
	// Of the one goroutine that looks:
	known    *held     // nil: the registry is to be read
	read     time.Time // when known was
	verdicts verdicts
}

// Everything is the one thing that is looked at: who refers to whom goes all over the
// cluster, and is quickly worked out anew.
type Everything struct{}

const (
	together = 20 * time.Millisecond // changes that come so close are looked at once
	apart    = time.Second           // how far looks are apart while changes keep coming
	again    = time.Minute           // how often Secrets are read that nothing tells of
	// longestRetry is how long it takes at most until what failed is tried again.
	longestRetry = 5 * time.Second
)

// Installed says whether a cluster knows the Gateway API.
func Installed(mapper meta.RESTMapper) (bool, error) {
	for _, kind := range []string{"GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"} {
		_, err := mapper.RESTMapping(schema.GroupKind{Group: gw.GroupName, Kind: kind}, gw.GroupVersion.Version)
		if meta.IsNoMatchError(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// Start adds the controller to a manager, whose leader runs it.
func (c *Controller) Start(m manager.Manager) error {
	made, err := controller.NewTyped("gateway-api", m, controller.TypedOptions[Everything]{
		Reconciler: c, RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[Everything](apart, longestRetry),
	})
	if err != nil {
		return err
	}
	type queue = workqueue.TypedRateLimitingInterface[Everything]
	for _, from := range []source.TypedSource[Everything]{
		changed(c, m, &gw.GatewayClass{}), changed(c, m, &gw.Gateway{}), changed(c, m, &gw.HTTPRoute{}), changed(c, m, &gw.GRPCRoute{}),
		changed(c, m, &gw.ReferenceGrant{}), changed(c, m, &corev1.Service{}), changed(c, m, &corev1.Namespace{}),
		source.TypedFunc[Everything](func(ctx context.Context, q queue) error {
			q.Add(Everything{})
			context.AfterFunc(ctx, c.Changes(func() {
				c.changed.Store(true)
				q.AddAfter(Everything{}, c.pace.next())
			}))
			return nil
		}),
	} {
		if err := made.Watch(from); err != nil {
			return err
		}
	}
	return nil
}

// changed has all looked at when an object of a kind becomes another.
func changed[T ctrl.Object](c *Controller, m manager.Manager, empty T) source.TypedSource[Everything] {
	enqueue := handler.TypedFuncs[T, Everything]{}
	add := func(q workqueue.TypedRateLimitingInterface[Everything]) { q.AddAfter(Everything{}, c.pace.next()) }
	enqueue.CreateFunc = func(_ context.Context, _ createEvent[T], q workqueue.TypedRateLimitingInterface[Everything]) { add(q) }
	enqueue.UpdateFunc = func(_ context.Context, _ updateEvent[T], q workqueue.TypedRateLimitingInterface[Everything]) { add(q) }
	enqueue.DeleteFunc = func(_ context.Context, _ deleteEvent[T], q workqueue.TypedRateLimitingInterface[Everything]) { add(q) }
	return source.TypedKind(m.GetCache(), empty, enqueue, predicate.TypedFuncs[T]{UpdateFunc: func(e updateEvent[T]) bool {
		return differ(e.ObjectOld, e.ObjectNew)
	}})
}

// Reconcile looks at all. What fails for one object keeps nothing from the others.
func (c *Controller) Reconcile(ctx context.Context, _ Everything) (reconcile.Result, error) {
	c.pace.begin()
	held, err := c.held(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	snapshot, err := c.snapshot(ctx, held)
	if err != nil {
		return reconcile.Result{}, err
	}
	unread := c.secrets(ctx, snapshot)
	result := Translate(*snapshot)
	failed := c.write(ctx, held, &result)
	c.Metrics.count(c.Cluster, &result.Statuses)
	if err := errors.Join(failed, c.tell(ctx, snapshot, &result), unread); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: again}, nil
}
