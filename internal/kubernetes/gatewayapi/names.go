package gatewayapi

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// label makes a DNS label of parts, which may be longer than one. The hash at its end
// keeps those apart that read alike, and from names that people choose.
func label(parts ...string) string {
	const most, digits = 63, 8
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	read := strings.ReplaceAll(strings.Join(parts, "-"), ".", "-")
	read = strings.Trim(read[:min(len(read), most-digits-1)], "-")
	return read + "-" + hex.EncodeToString(sum[:])[:digits]
}

// GatewayName is what a Gateway is called in the mesh.
func GatewayName(cluster string, at types.NamespacedName) mesh.ServiceName {
	return mesh.ServiceName(label("gateway", cluster, at.Namespace, at.Name))
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
const OwnerAnnotation = "heddle.io/owner"

func ownerOf(o metav1.Object) string {
	if owner := o.GetAnnotations()[OwnerAnnotation]; owner != "" {
		return owner
	}
	return o.GetNamespace()
}
