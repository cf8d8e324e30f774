package v1alpha1

import (
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Prefix begins every label, annotation and finalizer of Heddle's.
const Prefix = Group + "/"

// ServiceKey names the service of the mesh that a pod is of, as its annotation or label,
// or that stands for a Kubernetes Service, as its annotation.
const ServiceKey = Prefix + "service"

// EndpointsInKey is the annotation of a namespace by which its MeshServices and Upstreams
// may name pods elsewhere (endpoints.kubernetes): names of namespaces, or
// CLUSTER/NAMESPACE, between commas. It is for whoever administers the cluster.
const EndpointsInKey = Prefix + "endpoints-in"

// Service reads the spec of a MeshService or an Upstream as the model's type.
// One that says nothing of endpoints has the pods behind the Kubernetes Service of
// its own name, namespace and cluster.
func (d *Declared) Service(cluster string) (mesh.Service, error) {
	var service mesh.Service
	if err := mesh.Decode(d.Spec, &service); err != nil {
		return mesh.Service{}, err
	}
	service.Name, service.Meta = mesh.ServiceName(d.Name), mesh.Meta{}
	ownPods(&service.Endpoints, cluster, d.Namespace)
	return service, mesh.Invalid("the service cannot be declared like this", service.Validate())
}

// ownPods fills in what the endpoints leave out.
func ownPods(e *mesh.Endpoints, cluster, namespace string) {
	if e.DNS == nil && len(e.Static) == 0 && e.Kubernetes == nil && e.VMs == nil {
		e.Kubernetes = &mesh.KubernetesEndpoints{}
	}
	pods := e.Kubernetes
	if pods == nil {
		return
	}
	if pods.Namespace == "" {
		pods.Namespace = namespace
	}
	if len(pods.Clusters) == 0 {
		pods.Clusters = []string{cluster}
	}
}

// Route reads the spec of a MeshRoute as the model's type.
func (d *Declared) Route() (mesh.Route, error) {
	var route mesh.Route
	if err := mesh.Decode(d.Spec, &route); err != nil {
		return mesh.Route{}, err
	}
	route.Name, route.Meta = mesh.RouteName(d.Name), mesh.Meta{}
	return route, mesh.Invalid("the route cannot be declared like this", route.Validate())
}

// Keeper is who keeps in the registry what the object declares.
func (d *Declared) Keeper(cluster string) mesh.Keeper {
	return mesh.Keeper(string(mesh.OfCluster(cluster)) + "/" + d.Namespace + "/" + d.Name)
}
