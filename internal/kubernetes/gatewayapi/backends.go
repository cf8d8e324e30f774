package gatewayapi

import (
	"cmp"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// backend gives the mesh's service for what a route refers to, or says why there is none.
func (t *translation) backend(r *route, ref gw.BackendObjectReference) (mesh.ServiceName, fault) {
	if ref.Group != nil && *ref.Group != "" && *ref.Group != "core" || ref.Kind != nil && *ref.Kind != "Service" {
		return "", fault{string(gw.RouteReasonInvalidKind), fmt.Sprintf("backend %s is no Service", ref.Name)}
	}
	at := types.NamespacedName{Namespace: r.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		at.Namespace = string(*ref.Namespace)
	}
	if !t.granted(gw.GroupName, r.kind, r.Namespace, "Service", at.Namespace, at.Name) {
		return "", fault{string(gw.RouteReasonRefNotPermitted), fmt.Sprintf("no ReferenceGrant in namespace %s lets this route use Service %s", at.Namespace, at.Name)}
	}
	service := t.services[at]
	if service == nil {
		return "", fault{string(gw.RouteReasonBackendNotFound), fmt.Sprintf("there is no Service %s", at)}
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return "", fault{string(gw.RouteReasonBackendNotFound), fmt.Sprintf("Service %s is an ExternalName, whose host has no endpoints here: declare an Upstream, and a MeshRoute to it", at)}
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if ref.Port == nil || port.Port != *ref.Port || port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
			continue
		}
		protocol, why := speaks(r.kind, port)
		if why.reason != "" {
			return "", why
		}
		if name := t.declared(at, service, port); name != "" {
			return name, fault{}
		}
		return t.make(service, port, protocol), fault{}
	}
	return "", fault{string(gw.RouteReasonBackendNotFound), fmt.Sprintf("Service %s has no such port for TCP", at)}
}

// speaks is what a port of a Service speaks.
func speaks(kind gw.Kind, port *corev1.ServicePort) (mesh.Protocol, fault) {
	if kind == grpcRoute {
		return mesh.GRPC, fault{}
	}
	if port.AppProtocol == nil {
		return mesh.HTTP, fault{}
	}
	switch *port.AppProtocol {
	case "kubernetes.io/h2c", "http2":
		return mesh.HTTP2, fault{}
	case "grpc":
		return mesh.GRPC, fault{}
	case "https", "kubernetes.io/wss", "tls":
		return "", fault{string(gw.RouteReasonUnsupportedProtocol), fmt.Sprintf("port %d has the appProtocol %s, and gateways call pods without TLS of their own", port.Port, *port.AppProtocol)}
	}
	return mesh.HTTP, fault{}
}

// declared finds the service of the mesh whose instances are the pods behind a port of
// a Kubernetes Service: its owner's word counts. That is one that is declared in the
// same namespace, or else one that the Service names itself: who may write Kubernetes
// Services and MeshServices there may say where requests to them go, and nobody else.
// Of several it takes the first by name.
func (t *translation) declared(at types.NamespacedName, service *corev1.Service, port *corev1.ServicePort) mesh.ServiceName {
	var found mesh.ServiceName
	here := mesh.OfCluster(t.Cluster) + mesh.Keeper("/"+at.Namespace)
	for i := range t.Declared {
		s := &t.Declared[i]
		k := s.Endpoints.Kubernetes
		if !here.Covers(s.Meta.Keeper) && service.Annotations[v1alpha1.ServiceKey] != string(s.Name) {
			continue
		}
		if !k.Has(t.Cluster) || k.Namespace != at.Namespace || len(k.Selector) > 0 || cmp.Or(k.Service, string(s.Name)) != at.Name || !s.Protocol.IsHTTP() {
			continue
		}
		var same bool
		switch k.Port {
		case "":
			same = len(service.Spec.Ports) == 1 || int32(s.Port) == port.Port
		default:
			same = k.Port == port.Name || k.Port == strconv.Itoa(int(port.Port))
		}
		if same && (found == "" || s.Name < found) {
			found = s.Name
		}
	}
	return found
}

// make has a service of the mesh stand for a port of a Kubernetes Service that nobody
// has declared.
func (t *translation) make(service *corev1.Service, port *corev1.ServicePort, protocol mesh.Protocol) mesh.ServiceName {
	number := strconv.Itoa(int(port.Port))
	name := mesh.ServiceName(label("service", t.Cluster, service.Namespace, service.Name, number, string(protocol)))
	if t.made[name] {
		return name
	}
	t.made[name] = true
	t.result.Services = append(t.result.Services, Service{Namespace: service.Namespace, Service: mesh.Service{
		Name: name, Owner: ownerOf(service), Protocol: protocol, Port: mesh.Port(port.Port), Dependencies: []mesh.ServiceName{},
		Description: fmt.Sprintf("Service %s/%s of Kubernetes cluster %s, for routes of the Gateway API.", service.Namespace, service.Name, t.Cluster),
		Endpoints: mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{
			Clusters: []string{t.Cluster}, Namespace: service.Namespace, Service: service.Name, Port: number,
		}},
		// Pods without a sidecar are called as they are, also where all else is strict.
		Access: mesh.Access{MTLS: mesh.Permissive},
	}})
	return name
}
