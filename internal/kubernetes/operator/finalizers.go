package operator

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
)

// Finalizers takes the operator's finalizer off the objects of a cluster that has no
// operator any more: nobody else does, and their deletions would hang.
type Finalizers struct {
	client ctrl.Client
}

// Held is an object that has the finalizer.
type Held struct {
	Kind, Namespace, Name string
	Deleted               bool // it waits for nothing but the finalizer
}

// NewFinalizers connects to a cluster, as [Connect] does.
func NewFinalizers(kubeconfig string) (*Finalizers, error) {
	config, err := configOf(kubeconfig)
	if err != nil {
		return nil, err
	}
	known, err := scheme()
	if err != nil {
		return nil, err
	}
	client, err := ctrl.New(config, ctrl.Options{Scheme: known})
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return &Finalizers{client: client}, nil
}

// List gives the objects of a namespace that have it, or with "" of all. A kind that is
// not installed has none.
func (f *Finalizers) List(ctx context.Context, namespace string) ([]Held, error) {
	var out []Held
	for _, k := range []kind{routeKind, serviceKind, upstreamKind} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(string(k) + "List"))
		if err := f.client.List(ctx, list, ctrl.InNamespace(namespace)); meta.IsNoMatchError(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("list each %s: %w", k, err)
		}
		for i := range list.Items {
			one := &list.Items[i]
			if controllerutil.ContainsFinalizer(one, finalizer) {
				out = append(out, Held{string(k), one.Namespace, one.Name, !one.DeletionTimestamp.IsZero()})
			}
		}
	}
	return out, nil
}

// Remove takes it off one; all else stays as it is. One that is gone is no error.
func (f *Finalizers) Remove(ctx context.Context, held Held) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		one := &metav1.PartialObjectMetadata{}
		one.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(held.Kind))
		if err := f.client.Get(ctx, ctrl.ObjectKey{Namespace: held.Namespace, Name: held.Name}, one); err != nil {
			return err
		}
		before := one.DeepCopy()
		if !controllerutil.RemoveFinalizer(one, finalizer) {
			return nil
		}
		return f.client.Patch(ctx, one, ctrl.MergeFromWithOptions(before, ctrl.MergeFromWithOptimisticLock{}))
	})
	if err = ctrl.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("take the finalizer off %s: %w", held, err)
	}
	return nil
}

// String writes "MeshService shop/orders".
func (h Held) String() string { return h.Kind + " " + h.Namespace + "/" + h.Name }
