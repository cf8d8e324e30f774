package gatewayapi

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func label(parts ...string) string { return mesh.HashedLabel(8, parts...) }

// GatewayName is what a Gateway is called in the mesh.
func GatewayName(cluster string, at types.NamespacedName) mesh.ServiceName {
	return mesh.GatewayAPIGateway(cluster, at.Namespace, at.Name)
}

// KeeperOf keeps what is made of the objects of a namespace.
func KeeperOf(cluster, namespace string) mesh.Keeper {
	return mesh.GatewayAPIKeeper(cluster, namespace)
}

// Made says whether an object of the registry was made of a cluster's Gateway API.
func Made(cluster, name string, keeper mesh.Keeper) bool {
	return keeper.Cluster() == cluster && keeper.OfGatewayAPI(name)
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// OwnerAnnotation says who answers for what is made of an object; without it, its
// namespace does.
const OwnerAnnotation = v1alpha1.Prefix + "owner"

func ownerOf(o metav1.Object) string {
	if owner := o.GetAnnotations()[OwnerAnnotation]; owner != "" {
		return owner
	}
	return o.GetNamespace()
}
