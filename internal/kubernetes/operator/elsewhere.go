package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// elsewhere says why a MeshService of a namespace may not have the pods that it names,
// or "": pods of another namespace or cluster are for it only if the annotation of its
// own namespace says so, which whoever writes MeshServices there cannot. The admission
// policy of the manifests judges namespaces alike, and knows of no clusters.
func (c *objects) elsewhere(ctx context.Context, o object, pods *mesh.KubernetesEndpoints) (string, error) {
	if pods == nil {
		return "", nil
	}
	var wanted []string
	if pods.Namespace != o.Namespace {
		wanted = append(wanted, pods.Namespace)
	}
	for _, cluster := range pods.Clusters {
		if cluster != c.cluster {
			wanted = append(wanted, cluster+"/"+pods.Namespace)
		}
	}
	if len(wanted) == 0 {
		return "", nil
	}
	namespace := &metav1.PartialObjectMetadata{TypeMeta: namespaceKind}
	if err := c.client.Get(ctx, types.NamespacedName{Name: o.Namespace}, namespace); err != nil {
		return "", fmt.Errorf("read namespace %s: %w", o.Namespace, err)
	}
	var allowed []string
	for one := range strings.SplitSeq(namespace.Annotations[v1alpha1.EndpointsInKey], ",") {
		allowed = append(allowed, strings.TrimSpace(one))
	}
	for _, one := range wanted {
		if !slices.Contains(allowed, one) {
			return fmt.Sprintf("endpoints.kubernetes name the pods of %s, and namespace %s may have its own only: whoever administers the cluster allows it with the annotation %s: %q of namespace %s", one, o.Namespace, v1alpha1.EndpointsInKey, strings.Join(wanted, ","), o.Namespace), nil
		}
	}
	return "", nil
}

// allowedAnew says whether the annotation of a namespace changed.
func allowedAnew(e event.TypedUpdateEvent[*metav1.PartialObjectMetadata]) bool {
	return e.ObjectOld.Annotations[v1alpha1.EndpointsInKey] != e.ObjectNew.Annotations[v1alpha1.EndpointsInKey]
}

// within lists the services that are declared in a namespace.
func (c *objects) within(ctx context.Context, namespace *metav1.PartialObjectMetadata) []object {
	var out []object
	for _, k := range serviceKind.sharing() {
		names, err := c.namesIn(ctx, k, namespace.Name)
		if err != nil {
			c.log.Error("the objects of a namespace cannot be listed", "namespace", namespace.Name, "error", err)
		}
		for _, name := range names {
			out = append(out, object{k, types.NamespacedName{Namespace: namespace.Name, Name: name}})
		}
	}
	return out
}
