package gatewayapi

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ControllerName is in the GatewayClasses that are ours.
const ControllerName gw.GatewayController = v1alpha1.Prefix + "gateway"

// Snapshot is what follows from a cluster at one time. Objects are not changed.
type Snapshot struct {
	Cluster    string // its name in the mesh
	Classes    []gw.GatewayClass
	Gateways   []gw.Gateway
	HTTPRoutes []gw.HTTPRoute
	GRPCRoutes []gw.GRPCRoute
	Grants     []gw.ReferenceGrant
	Services   []corev1.Service
	Namespaces map[string]map[string]string // the labels of each
	// Secrets says of those that [Snapshot.certificates] names why they hold no
	// certificate and key, or "" when they do. One that is not there is not in it.
	Secrets map[types.NamespacedName]string
	// Unread says why Secrets could not be read: whether they are there nobody knows.
	Unread map[types.NamespacedName]string
	// Addresses are where clients reach a Gateway.
	Addresses map[types.NamespacedName][]gw.GatewayStatusAddress
	// MadeFor are what the proxies of a Gateway serve, where their Service says so.
	MadeFor map[types.NamespacedName][]string
	// Declared are the mesh's services whose instances are pods of the cluster, those
	// left aside that are made here.
	Declared []mesh.Service
}

// Result is what follows from a snapshot.
type Result struct {
	Gateways []Gateway // that have something to listen for
	Routes   []Route
	Services []Service
	Statuses Statuses
}

// Gateway is what one Gateway needs of its proxies.
type Gateway struct {
	types.NamespacedName

	Mesh         mesh.ServiceName // for heddle proxy --gateway
	HTTPPort     mesh.Port        // 0: none
	HTTPSPort    mesh.Port        // 0: none
	Certificates []types.NamespacedName
}

// Route is a route of the mesh, and the object that it comes from.
type Route struct {
	mesh.Route

	From Object
}

// Service is a service of the mesh that stands for a port of a Kubernetes Service
// which no service of the mesh names.
type Service struct {
	mesh.Service

	Namespace string
}

// Object names an HTTPRoute or a GRPCRoute.
type Object struct {
	Kind gw.Kind
	types.NamespacedName
}

// Statuses are what the objects are to say; only those that are ours are there.
type Statuses struct {
	Classes  map[string]gw.GatewayClassStatus
	Gateways map[types.NamespacedName]gw.GatewayStatus
	Routes   map[Object]gw.RouteStatus
}

// Translate says what follows from a snapshot.
func Translate(s Snapshot) Result {
	t := &translation{
		Snapshot: s,
		gateways: map[types.NamespacedName]*gateway{}, services: map[types.NamespacedName]*corev1.Service{}, made: map[mesh.ServiceName]bool{},
		result: Result{Statuses: Statuses{map[string]gw.GatewayClassStatus{}, map[types.NamespacedName]gw.GatewayStatus{}, map[Object]gw.RouteStatus{}}},
	}
	for i := range s.Services {
		t.services[nameOf(&s.Services[i])] = &s.Services[i]
	}
	t.readGateways()
	for _, r := range t.readRoutes() {
		t.attach(r)
	}
	t.tellGateways()
	return t.result
}

// translation is a result in the making.
type translation struct {
	Snapshot

	gateways map[types.NamespacedName]*gateway
	services map[types.NamespacedName]*corev1.Service
	made     map[mesh.ServiceName]bool
	result   Result
}
