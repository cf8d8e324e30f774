package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ourName is what the clusters know the operator by, and the lease of its leader. A process
// that joins several clusters leads each of them, or not, by itself.
const ourName = "heddle-operator"

// joined is a cluster while the operator runs.
type joined struct {
	Cluster
	operator *Operator
	log      *slog.Logger
	reach    reach
	synced   atomic.Bool                   // all there is has been read, once; whoever follows it anew has it in the registry yet
	claimed  string                        // the uid under which the registry knows the cluster; of the goroutine of run
	refused  atomic.Pointer[error]         // why nothing is written for the cluster; nil: it is
	writes   atomic.Pointer[client.Client] // what is written for it is written by this; nil: its name is not known to be its own
}

// run has a manager work until ctx ends. A manager ends when it loses its lease
// because the API is gone; another takes its place, with caches read anew.
func (j *joined) run(ctx context.Context) {
	wait, told := time.Second, "" // why it began anew before, which is not told again and again
	for {
		began := time.Now()
		err := j.own(ctx, j.manage)
		j.operator.metrics.leads(j.Name, false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		level := slog.LevelWarn
		if j.reach.away() != nil || err != nil && err.Error() == told { // which was told
			level = slog.LevelDebug
		}
		if told = ""; err != nil {
			told = err.Error()
		}
		j.log.Log(ctx, level, "the cluster is not followed; beginning again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause(wait)):
		}
		wait = min(2*wait, 15*time.Second)
	}
}

// manage runs one manager to its end, which writes to the registry.
func (j *joined) manage(ctx context.Context, registry *client.Client) error {
	m, err := j.manager()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx) // also what the sources have subscribed to
	defer cancel()
	if err := j.index(ctx, m.GetFieldIndexer()); err != nil {
		return err
	}
	if err := j.control(m, registry); err != nil {
		return err
	}
	watching := make(chan struct{})
	go func() { // ends with ctx, and is waited for
		defer close(watching)
		if m.GetCache().WaitForCacheSync(ctx) && j.awaitLeaseNamespace(ctx, m.GetClient()) {
			j.synced.Store(true)
		}
		select {
		case <-m.Elected():
			j.operator.metrics.leads(j.Name, true)
			j.log.Info("leading: what the cluster has is written to the registry")
		case <-ctx.Done():
		}
	}()
	err = m.Start(ctx)
	cancel()
	<-watching
	return err
}

// awaitLeaseNamespace waits for the namespace of the lease, without which nobody
// leads. It is false when ctx ended first.
func (j *joined) awaitLeaseNamespace(ctx context.Context, cached ctrl.Reader) bool {
	name := j.operator.cfg.Namespace
	for told := false; name != ""; told = true {
		err := cached.Get(ctx, types.NamespacedName{Name: name}, &metav1.PartialObjectMetadata{TypeMeta: namespaceKind})
		if !apierrors.IsNotFound(err) {
			break // it is there, or something else is wrong that electing a leader tells
		}
		if !told {
			j.log.Error("nothing is written for the cluster: the namespace of the lease does not exist. Make it (kubectl create namespace "+name+"), name another (--namespace), or run one operator alone (--no-leader-election)", "namespace", name)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
	return ctx.Err() == nil
}

func scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, errors.Join(v1alpha1.AddToScheme(s), gw.Install(s))
}

// The kinds of which only the metadata is watched.
var (
	podKind       = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	nodeKind      = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
	namespaceKind = metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}
)

func (j *joined) manager() (manager.Manager, error) {
	known, err := scheme()
	if err != nil {
		return nil, err
	}
	lease := j.operator.cfg.Lease
	if lease == 0 {
		lease = 15 * time.Second
	}
	trimmed := cache.ByObject{Transform: trim, UnsafeDisableDeepCopy: new(true)} // nobody changes them
	return manager.New(j.Config, manager.Options{
		Scheme: known, Logger: logr.FromSlogHandler(quieter{j.log.Handler()}),
		Metrics:        server.Options{BindAddress: "0"}, // the process serves those of all clusters
		LeaderElection: j.operator.cfg.Namespace != "", LeaderElectionID: ourName, LeaderElectionNamespace: j.operator.cfg.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease, RenewDeadline: new(lease * 2 / 3), RetryPeriod: new(lease / 7),
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[ctrl.Object]cache.ByObject{
				&discoveryv1.EndpointSlice{}:                           trimmed,
				&corev1.Service{}:                                      trimmed,
				&corev1.Namespace{}:                                    trimmed,
				&metav1.PartialObjectMetadata{TypeMeta: podKind}:       trimmed,
				&metav1.PartialObjectMetadata{TypeMeta: nodeKind}:      trimmed,
				&metav1.PartialObjectMetadata{TypeMeta: namespaceKind}: trimmed,
			},
		},
		Controller: config.Controller{
			SkipNameValidation: new(true), // another manager's controllers have the same names
			EnableWarmup:       new(true), // whoever is next to lead has read all there is
		},
	})
}

// The indexes of the caches.
const (
	objectName   = "metadata.name"
	sliceService = "service"
	slicePod     = "pod"
)

func (j *joined) index(ctx context.Context, i ctrl.FieldIndexer) error {
	for _, k := range []kind{serviceKind, upstreamKind, routeKind} {
		if err := i.IndexField(ctx, k.empty(), objectName, func(o ctrl.Object) []string { return []string{o.GetName()} }); err != nil {
			return fmt.Errorf("index each %s: %w", k, err)
		}
	}
	err := i.IndexField(ctx, &discoveryv1.EndpointSlice{}, sliceService, func(o ctrl.Object) []string {
		return []string{o.GetLabels()[discoveryv1.LabelServiceName]}
	})
	if err != nil {
		return fmt.Errorf("index EndpointSlices: %w", err)
	}
	return i.IndexField(ctx, &discoveryv1.EndpointSlice{}, slicePod, func(o ctrl.Object) []string {
		var pods []string
		for _, e := range o.(*discoveryv1.EndpointSlice).Endpoints {
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				pods = append(pods, e.TargetRef.Name)
			}
		}
		return pods
	})
}

// control adds the controllers.
func (j *joined) control(m manager.Manager, registry *client.Client) error {
	found := newFindings()
	d := &discovery{
		findings: found,
		cluster:  j.Name, cache: m.GetCache(), mirror: j.operator.mirror, registry: registry.KeptBy(mesh.OfCluster(j.Name)),
		log: j.log, metrics: j.operator.metrics, sent: map[mesh.ServiceName]sentSet{},
	}
	if err := d.start(m); err != nil {
		return err
	}
	o := &objects{
		findings: found, keepers: j.operator.keepers,
		cluster: j.Name, client: m.GetClient(), live: m.GetAPIReader(), counted: j.operator.counted, mirror: j.operator.mirror, registry: registry,
		recorder: m.GetEventRecorder(ourName), log: j.log, backends: newBackends(), waiting: map[target]map[object]bool{},
	}
	if err := o.start(m); err != nil {
		return err
	}
	return m.Add(&gatewayAPI{joined: j, manager: m, registry: registry})
}
