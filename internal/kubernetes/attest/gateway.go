package attest

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// GatewayLabel says of pods which Gateway of their namespace they are the proxies of.
const GatewayLabel = "gateway.networking.k8s.io/gateway-name"

// GatewayAccount is the service account that runs the proxies of a Gateway, in its namespace.
// All their objects have its name: a DNS label.
func GatewayAccount(gateway string) string {
	const prefix = "heddle-gateway"
	if name := prefix + "-" + gateway; mesh.ServiceName(name).Valid() {
		return name
	}
	return mesh.HashedLabel(24, prefix, gateway)
}

// gatewayOf is the Gateway as whose proxy a pod may be a gateway: CLUSTER/NAMESPACE/NAME. Its
// label says which it is, and is believed in nothing: the Gateway has to be there, in the
// pod's namespace, to be called so in the mesh, and to have this service account.
func (a *Attestor) gatewayOf(ctx context.Context, account Account, pod *corev1.Pod, of mesh.Identity) (mesh.GatewayOf, error) {
	name := pod.Labels[GatewayLabel]
	if a.cfg.Serves == nil || name == "" || of.Kind != mesh.GatewayIdentity || of.Name != mesh.GatewayAPIGateway(a.cfg.Cluster, pod.Namespace, name) {
		return "", nil
	}
	if runs := GatewayAccount(name); account.Name != runs {
		return "", mesh.Denied("service account %s does not run Gateway %s/%s, but %s does: its pods are those of heddle operator gateway %s --namespace %s", account, pod.Namespace, name, runs, name, pod.Namespace)
	}
	is, err := a.cfg.Serves(ctx, pod.Namespace, name)
	if err != nil {
		return "", mesh.Unavailable(err, "the API server could not be asked about Gateway %s/%s", pod.Namespace, name)
	}
	if !is {
		return "", mesh.Denied("there is no Gateway %s/%s, or its class is not one of this mesh", pod.Namespace, name)
	}
	return mesh.GatewayOf(a.cfg.Cluster + "/" + pod.Namespace + "/" + name), nil
}
