package operator

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
)

// The caches hold of Kubernetes' objects what the operator reads, and nothing else: of
// five thousand pods that is the difference between a few megabytes and hundreds.

func trimMeta(m *metav1.ObjectMeta) {
	m.ManagedFields, m.OwnerReferences, m.GenerateName = nil, nil, ""
	maps.DeleteFunc(m.Annotations, func(key, _ string) bool { return !strings.HasPrefix(key, v1alpha1.Prefix) })
}

// trim is a cache's transform for each kind of object that is watched.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *metav1.PartialObjectMetadata: // pods and nodes
		trimMeta(&o.ObjectMeta)
		o.Finalizers = nil
		if o.Kind == "Node" {
			maps.DeleteFunc(o.Labels, func(key, _ string) bool { return key != corev1.LabelTopologyRegion })
		}
	case *discoveryv1.EndpointSlice:
		trimMeta(&o.ObjectMeta)
		o.Finalizers = nil
		maps.DeleteFunc(o.Labels, func(key, _ string) bool { return key != discoveryv1.LabelServiceName })
		for i := range o.Endpoints {
			e := &o.Endpoints[i]
			e.Hostname, e.DeprecatedTopology, e.Hints = nil, nil, nil
		}
	case *corev1.Service:
		trimMeta(&o.ObjectMeta)
		o.Finalizers = nil
		kept := corev1.ServiceSpec{Ports: o.Spec.Ports, Type: o.Spec.Type}
		if o.Labels[gw.GatewayNameLabelKey] != "" { // where clients reach a Gateway
			kept.ClusterIP, kept.ExternalIPs = o.Spec.ClusterIP, o.Spec.ExternalIPs
		} else {
			o.Status = corev1.ServiceStatus{}
		}
		o.Spec = kept
	case *corev1.Namespace:
		trimMeta(&o.ObjectMeta)
		o.Spec, o.Status = corev1.NamespaceSpec{}, corev1.NamespaceStatus{}
	}
	return object, nil
}
