package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// discovery sends the pods of one cluster to the registry, each mesh service's as a
// full set, or as what changed since the set that was sent before.
type discovery struct {
	cluster  string
	cache    ctrl.Reader // of EndpointSlices, Services, pods' and nodes' metadata
	mirror   *mirror
	registry *client.Client // kept by the cluster
	log      *slog.Logger
	metrics  *Metrics
	findings *findings

	mu   sync.Mutex
	sent map[mesh.ServiceName]sentSet // guarded by mu: what the registry took last
}

// sentSet is a set that was sent.
type sentSet struct {
	set      map[mesh.InstanceID]uint64
	revision int64 // of the registry, as of its last write
	base     int64 // what a change of a part starts from; 0: the whole set has to be sent
	at       time.Time
	next     map[mesh.InstanceID]uint64 // what is being sent; what becomes of that is remembered or forgotten
}

// mirrorLag is how long the mirror may take to show what was sent; then it is sent again.
const mirrorLag = 2 * time.Second

func (d *discovery) keeper() mesh.Keeper { return mesh.OfCluster(d.cluster) }

// Reconcile has the registry hold what the caches say of a mesh service.
func (d *discovery) Reconcile(ctx context.Context, service mesh.ServiceName) (reconcile.Result, error) {
	if err := d.mirror.awaitSynced(ctx); err != nil {
		return reconcile.Result{}, err
	}
	instances, err := d.instances(ctx, service)
	if err != nil {
		return reconcile.Result{}, err
	}
	wanted := make(map[mesh.InstanceID]uint64, len(instances))
	for _, one := range instances {
		wanted[one.ID] = d.mirror.print(plainInstance(one))
	}
	held := d.mirror.keptOf(service, d.keeper())
	if maps.Equal(wanted, held) && d.sentLast(service, wanted) {
		return reconcile.Result{}, nil
	}
	if wait := d.underway(service, wanted); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	began := time.Now()
	kept, err := d.send(ctx, service, wanted, held, instances)
	d.metrics.sent(d.cluster, time.Since(began), err)
	switch mesh.KindOf(err) {
	case "":
	case mesh.KindNotFound: // the service went meanwhile, and its instances with it
		d.remember(service, sentSet{})
		return reconcile.Result{}, nil
	case mesh.KindInvalid, mesh.KindDenied, mesh.KindConflict:
		d.forget(service)
		if mesh.ReasonOf(err) == client.ReasonToken { // said once, by whoever watches the token
			return reconcile.Result{RequeueAfter: pause(tokenPause)}, nil
		}
		d.log.Error("the registry does not take the pods of a service", "service", service, "error", err)
		return reconcile.Result{RequeueAfter: 30 * time.Second}, nil
	}
	if err != nil {
		d.forget(service)
		return reconcile.Result{}, fmt.Errorf("send the pods of service %s: %w", service, err)
	}
	d.remember(service, sentSet{set: wanted, revision: kept.Revision, base: kept.Base, at: time.Now()})
	if kept.Written+kept.Removed > 0 {
		d.log.Debug("pods sent", "service", service, "instances", len(instances), "written", kept.Written, "removed", kept.Removed, "revision", kept.Revision)
	}
	return reconcile.Result{}, nil
}

// instances gives the full set of a mesh service; none if it is to have no pods of
// this cluster.
func (d *discovery) instances(ctx context.Context, service mesh.ServiceName) ([]mesh.Instance, error) {
	wanted, port := d.mirror.podsOf(service)
	if !wanted.Has(d.cluster) || wanted.Discovery == mesh.KubernetesDNS {
		d.findings.set(service, finding{})
		return nil, nil
	}
	set := podSet{cluster: d.cluster, service: service, port: port, wanted: wanted}
	var unread error // what cannot be read has not gone
	metadata := func(kind metav1.TypeMeta, name types.NamespacedName) *metav1.PartialObjectMetadata {
		found, err := d.metadata(ctx, kind, name)
		unread = errors.Join(unread, err)
		return found
	}
	set.pod = func(name types.NamespacedName) *metav1.PartialObjectMetadata { return metadata(podKind, name) }
	set.region = func(node string) string {
		if found := metadata(nodeKind, types.NamespacedName{Name: node}); found != nil {
			return found.Labels[corev1.LabelTopologyRegion]
		}
		return ""
	}
	services, err := d.services(ctx, service, wanted)
	if err != nil {
		return nil, err
	}
	for name, one := range services {
		var list discoveryv1.EndpointSliceList
		if err := d.cache.List(ctx, &list, ctrl.InNamespace(wanted.Namespace), ctrl.MatchingFields{sliceService: name}); err != nil {
			return nil, fmt.Errorf("list the EndpointSlices of %s/%s: %w", wanted.Namespace, name, err)
		}
		set.backed = append(set.backed, backing{name, one, list.Items})
	}
	instances := set.instances()
	if unread == nil {
		d.findings.set(service, set.finding(len(instances)))
	}
	return instances, unread
}

// services gives the Kubernetes Services behind a mesh service, by name.
func (d *discovery) services(ctx context.Context, service mesh.ServiceName, wanted *mesh.KubernetesEndpoints) (map[string]*corev1.Service, error) {
	out := map[string]*corev1.Service{}
	if len(wanted.Selector) == 0 {
		name := backingName(service, wanted)
		var one corev1.Service
		switch err := d.cache.Get(ctx, types.NamespacedName{Namespace: wanted.Namespace, Name: name}, &one); {
		case apierrors.IsNotFound(err):
			out[name] = nil
		case err != nil:
			return nil, err
		default:
			out[name] = &one
		}
		return out, nil
	}
	var list corev1.ServiceList
	err := d.cache.List(ctx, &list, ctrl.InNamespace(wanted.Namespace), ctrl.MatchingLabels(wanted.Selector))
	for i := range list.Items {
		out[list.Items[i].Name] = &list.Items[i]
	}
	return out, err
}

// backingName is the Kubernetes Service that a mesh service names, without a selector.
func backingName(service mesh.ServiceName, wanted *mesh.KubernetesEndpoints) string {
	if wanted.Service != "" {
		return wanted.Service
	}
	return string(service)
}

// metadata gives what the cache has of a pod or a node; nil: nothing.
func (d *discovery) metadata(ctx context.Context, kind metav1.TypeMeta, name types.NamespacedName) (*metav1.PartialObjectMetadata, error) {
	out := &metav1.PartialObjectMetadata{TypeMeta: kind}
	if err := d.cache.Get(ctx, name, out); err != nil {
		return nil, ctrl.IgnoreNotFound(err)
	}
	return out, nil
}

func (d *discovery) sentLast(service mesh.ServiceName, wanted map[mesh.InstanceID]uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, is := d.sent[service]
	if !is {
		// Nothing was sent since this process leads: what the registry holds is as wanted.
		return true
	}
	return maps.Equal(last.set, wanted)
}

// underway says for how long to wait for the mirror to show what was sent last; 0: it
// shows that, or what is wanted is something else.
func (d *discovery) underway(service mesh.ServiceName, wanted map[mesh.InstanceID]uint64) time.Duration {
	d.mu.Lock()
	last := d.sent[service]
	d.mu.Unlock()
	if !maps.Equal(last.set, wanted) || d.mirror.revision() > last.revision {
		return 0
	}
	return max(0, mirrorLag-time.Since(last.at))
}

func (d *discovery) remember(service mesh.ServiceName, last sentSet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(last.set) == 0 && !d.isWanted(service) {
		delete(d.sent, service)
		return
	}
	d.sent[service] = last
}

func (d *discovery) forget(service mesh.ServiceName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// Not the zero of "nothing was sent": what arrived of a call that failed is not known,
	// which the name that no instance has says.
	d.sent[service] = sentSet{set: map[mesh.InstanceID]uint64{"": 0}}
}

func (d *discovery) isWanted(service mesh.ServiceName) bool {
	wanted, _ := d.mirror.podsOf(service)
	return wanted.Has(d.cluster)
}

// The mesh services that an object of Kubernetes concerns.

func (d *discovery) ofSlice(ctx context.Context, slice *discoveryv1.EndpointSlice) []mesh.ServiceName {
	return d.ofService(ctx, slice.Namespace, slice.Labels[discoveryv1.LabelServiceName], nil)
}

// ofService also has those that select its labels: as they are in the cache, and before a
// change.
func (d *discovery) ofService(ctx context.Context, namespace, name string, before map[string]string) []mesh.ServiceName {
	var out []mesh.ServiceName
	var now *corev1.Service
	for service, wanted := range d.mirror.withPods(d.cluster, namespace) {
		if len(wanted.Selector) == 0 {
			if backingName(service, wanted) == name {
				out = append(out, service)
			}
			continue
		}
		if now == nil {
			now = &corev1.Service{}
			_ = d.cache.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, now) // gone: before says all
		}
		selector := labels.SelectorFromSet(wanted.Selector)
		if selector.Matches(labels.Set(now.Labels)) || before != nil && selector.Matches(labels.Set(before)) {
			out = append(out, service)
		}
	}
	return out
}

// ofPod finds the slices that have the pod.
func (d *discovery) ofPod(ctx context.Context, pod *metav1.PartialObjectMetadata) []mesh.ServiceName {
	var list discoveryv1.EndpointSliceList
	if err := d.cache.List(ctx, &list, ctrl.InNamespace(pod.Namespace), ctrl.MatchingFields{slicePod: pod.Name}); err != nil {
		d.log.Error("the EndpointSlices of a pod cannot be listed", "pod", pod.Namespace+"/"+pod.Name, "error", err)
		return nil
	}
	var out []mesh.ServiceName
	for i := range list.Items {
		out = append(out, d.ofSlice(ctx, &list.Items[i])...)
	}
	return out
}
