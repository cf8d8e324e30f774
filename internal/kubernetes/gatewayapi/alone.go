package gatewayapi

import (
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"
)

// OfGateway is the snapshot of one Gateway by itself, whose class is ours, which has an
// address, and whose own Secrets are all there: what its listeners come to.
func OfGateway(cluster string, g gw.Gateway) Snapshot {
	at, kind := nameOf(&g), gw.IPAddressType
	g.Status = gw.GatewayStatus{}
	class := gw.GatewayClass{Spec: gw.GatewayClassSpec{ControllerName: ControllerName}}
	class.Name = string(g.Spec.GatewayClassName)
	s := Snapshot{
		Cluster: cluster, Classes: []gw.GatewayClass{class}, Gateways: []gw.Gateway{g},
		Secrets: map[types.NamespacedName]string{}, Addresses: map[types.NamespacedName][]gw.GatewayStatusAddress{at: {{Type: &kind, Value: "192.0.2.1"}}},
	}
	for _, one := range s.certificates() {
		s.Secrets[one] = ""
	}
	return s
}
