package operator

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What has the controllers look at something.

// workers is how many mesh services, or objects, are looked at at once.
const workers = 16

// retries says how soon what failed is tried again: after minutes without a server
// nobody is to wait for minutes more, as the library's 1000 s would have it.
func retries[T comparable]() workqueue.TypedRateLimiter[T] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[T](5*time.Millisecond, longestRetry)
}

const longestRetry = 5 * time.Second

// start adds the controller of discovery.
func (d *discovery) start(m manager.Manager) error {
	c, err := controller.NewTyped("discovery", m, controller.TypedOptions[mesh.ServiceName]{Reconciler: d, MaxConcurrentReconciles: workers, RateLimiter: retries[mesh.ServiceName]()})
	if err != nil {
		return err
	}
	read := m.GetCache()
	pods := &metav1.PartialObjectMetadata{TypeMeta: podKind}
	nodes := &metav1.PartialObjectMetadata{TypeMeta: nodeKind}
	for _, from := range []source.TypedSource[mesh.ServiceName]{
		source.TypedKind(read, &discoveryv1.EndpointSlice{}, handler.TypedEnqueueRequestsFromMapFunc(d.ofSlice)),
		source.TypedKind(read, pods, handler.TypedEnqueueRequestsFromMapFunc(d.ofPod), predicate.TypedFuncs[*metav1.PartialObjectMetadata]{UpdateFunc: relabeled}),
		source.TypedKind(read, nodes, handler.TypedEnqueueRequestsFromMapFunc(d.ofNode), predicate.TypedFuncs[*metav1.PartialObjectMetadata]{UpdateFunc: relabeled}),
		source.TypedKind(read, &corev1.Service{}, d.serviceEvents()),
		source.TypedFunc[mesh.ServiceName](func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[mesh.ServiceName]) error {
			end := d.mirror.subscribe(func(c change) {
				switch {
				case c.service != "":
					queue.Add(c.service)
				case c.of != "" && c.keeper == d.keeper() && !d.isEcho(c):
					queue.Add(c.of)
				}
			})
			context.AfterFunc(ctx, end)
			return nil
		}),
	} {
		if err := c.Watch(from); err != nil {
			return err
		}
	}
	return nil
}

// relabeled says whether what is read of pods and nodes changed: their status changes
// all the time.
func relabeled(e event.TypedUpdateEvent[*metav1.PartialObjectMetadata]) bool {
	return e.ObjectOld.UID != e.ObjectNew.UID || !maps.Equal(e.ObjectOld.Labels, e.ObjectNew.Labels) || !maps.Equal(e.ObjectOld.Annotations, e.ObjectNew.Annotations)
}

// ofNode has all services looked at: the region of a node changes about never.
func (d *discovery) ofNode(_ context.Context, _ *metav1.PartialObjectMetadata) []mesh.ServiceName {
	return d.mirror.withPodsAnywhere(d.cluster)
}

// serviceEvents also knows the labels that a Kubernetes Service had.
func (d *discovery) serviceEvents() handler.TypedEventHandler[*corev1.Service, mesh.ServiceName] {
	type queue = workqueue.TypedRateLimitingInterface[mesh.ServiceName]
	add := func(ctx context.Context, q queue, s *corev1.Service, before map[string]string) {
		for _, one := range d.ofService(ctx, s.Namespace, s.Name, before) {
			q.Add(one)
		}
	}
	return handler.TypedFuncs[*corev1.Service, mesh.ServiceName]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[*corev1.Service], q queue) {
			add(ctx, q, e.Object, e.Object.Labels)
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[*corev1.Service], q queue) {
			add(ctx, q, e.ObjectNew, e.ObjectOld.Labels)
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[*corev1.Service], q queue) {
			add(ctx, q, e.Object, e.Object.Labels)
		},
	}
}

// withPodsAnywhere gives the services that have pods of a cluster.
func (m *mirror) withPodsAnywhere(cluster string) []mesh.ServiceName {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []mesh.ServiceName
	for name, s := range m.all {
		if s.pods.Has(cluster) {
			out = append(out, name)
		}
	}
	return out
}

// start adds the controller of the custom resources.
func (c *objects) start(m manager.Manager) error {
	made, err := controller.NewTyped("objects", m, controller.TypedOptions[object]{Reconciler: c, MaxConcurrentReconciles: workers, RateLimiter: retries[object]()})
	if err != nil {
		return err
	}
	for _, from := range []source.TypedSource[object]{
		objectSource[*v1alpha1.MeshService](c, m, serviceKind),
		objectSource[*v1alpha1.Upstream](c, m, upstreamKind),
		objectSource[*v1alpha1.MeshRoute](c, m, routeKind),
		source.TypedKind(m.GetCache(), &v1alpha1.MeshService{}, overwrites[*v1alpha1.MeshService](c, serviceKind)),
		source.TypedKind(m.GetCache(), &v1alpha1.Upstream{}, overwrites[*v1alpha1.Upstream](c, upstreamKind)),
		source.TypedKind(m.GetCache(), &v1alpha1.MeshRoute{}, overwrites[*v1alpha1.MeshRoute](c, routeKind)),
		source.TypedKind(m.GetCache(), &metav1.PartialObjectMetadata{TypeMeta: namespaceKind}, handler.TypedEnqueueRequestsFromMapFunc(c.within), predicate.TypedFuncs[*metav1.PartialObjectMetadata]{
			CreateFunc: func(event.TypedCreateEvent[*metav1.PartialObjectMetadata]) bool { return false }, UpdateFunc: allowedAnew,
		}),
		source.TypedFunc[object](func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[object]) error {
			end := c.mirror.subscribe(func(change change) {
				at := target{"service", string(change.service)}
				if change.route != "" {
					at = target{"route", string(change.route)}
				}
				if at.name == "" {
					return
				}
				for _, one := range c.concerned(at, change.keeper, change.previous) {
					queue.Add(one)
				}
				for _, one := range c.backends.leadingTo(change.service) {
					queue.Add(one)
				}
			})
			context.AfterFunc(ctx, end)
			c.findings.listen(func(service mesh.ServiceName) {
				for _, one := range c.concerned(target{"service", string(service)}, c.mirror.writtenService(service).keeper) {
					queue.Add(one)
				}
			})
			return nil
		}),
	} {
		if err := made.Watch(from); err != nil {
			return err
		}
	}
	return nil
}

// objectSource has an object looked at when it changes, its status aside, and with it
// those of its name.
func objectSource[T v1alpha1.Object](c *objects, m manager.Manager, k kind) source.TypedSource[object] {
	of := func(_ context.Context, found T) []object {
		o := object{k, types.NamespacedName{Namespace: found.GetNamespace(), Name: found.GetName()}}
		holder := c.written(o).keeper
		return append(slices.DeleteFunc(c.concerned(o.target(), holder), func(other object) bool { return other == o }), o)
	}
	declared := predicate.TypedFuncs[T]{UpdateFunc: func(e event.TypedUpdateEvent[T]) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID() ||
			e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero() || !slices.Equal(e.ObjectOld.GetFinalizers(), e.ObjectNew.GetFinalizers())
	}}
	var empty ctrl.Object = k.empty()
	return source.TypedKind(m.GetCache(), empty.(T), handler.TypedEnqueueRequestsFromMapFunc(of), declared)
}
