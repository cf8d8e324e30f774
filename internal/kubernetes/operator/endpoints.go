package operator

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// podSet is what the instances of one mesh service follow from.
type podSet struct {
	cluster string
	service mesh.ServiceName
	port    mesh.Port // the mesh service's
	wanted  *mesh.KubernetesEndpoints
	backed  []backing
	pod     func(types.NamespacedName) *metav1.PartialObjectMetadata // nil: not known
	region  func(node string) string
}

// backing is one Kubernetes Service and its EndpointSlices.
type backing struct {
	name    string
	service *corev1.Service // nil: there is none (any more)
	slices  []discoveryv1.EndpointSlice
}

// instances gives the full set, by ID. Whatever order the slices come in, it is the same.
func (p *podSet) instances() []mesh.Instance {
	all, byID := []mesh.Instance{}, map[mesh.InstanceID]int{} // the place in all
	for _, one := range p.backed {
		for i := range one.slices {
			slice := &one.slices[i]
			if slice.AddressType == discoveryv1.AddressTypeFQDN {
				continue // instances have addresses
			}
			port, found := p.portOf(one.service, slice.Ports)
			if !found {
				continue
			}
			for j := range slice.Endpoints {
				instance, known := p.instance(&slice.Endpoints[j], slice.Namespace, port)
				if !known {
					continue
				}
				if other, twice := byID[instance.ID]; !twice {
					byID[instance.ID] = len(all)
					all = append(all, instance)
				} else if better(&instance, &all[other]) {
					all[other] = instance
				}
			}
		}
	}
	return alone(all)
}

// alone gives those that have their address alone, by ID: a pod that got the address of
// one that is going has it.
func alone(all []mesh.Instance) []mesh.Instance {
	type place struct {
		address string
		port    mesh.Port
	}
	at := make(map[place]*mesh.Instance, len(all))
	for i := range all {
		one := &all[i]
		here := place{one.Address, one.Port}
		if other := at[here]; other == nil || better(one, other) {
			at[here] = one
		}
	}
	sorted := slices.SortedFunc(maps.Values(at), func(a, b *mesh.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) })
	out := make([]mesh.Instance, len(sorted))
	for i, one := range sorted {
		out[i] = *one
	}
	return out
}

// instance makes an instance of an endpoint. One whose pod the cache does not have is not
// known: it has just come, and its labels are about to, or it has just gone.
func (p *podSet) instance(e *discoveryv1.Endpoint, namespace string, port mesh.Port) (mesh.Instance, bool) {
	if len(e.Addresses) == 0 {
		return mesh.Instance{}, false
	}
	address, err := netip.ParseAddr(e.Addresses[0]) // the others are not to be used (EndpointSlice API)
	if err != nil {
		return mesh.Instance{}, false
	}
	out := mesh.Instance{Service: p.service, Address: address.String(), Port: port, Health: health(e.Conditions)}
	if e.Zone != nil {
		out.Locality.Zone = *e.Zone
	}
	if e.NodeName != nil {
		out.Locality.Region = p.region(*e.NodeName)
	}
	name := address.StringExpanded()
	if ref := e.TargetRef; ref != nil && ref.Kind == "Pod" {
		if ref.Namespace != "" {
			namespace = ref.Namespace
		}
		name = ref.Name
		pod := p.pod(types.NamespacedName{Namespace: namespace, Name: name})
		if pod == nil || ref.UID != "" && ref.UID != pod.UID {
			return mesh.Instance{}, false
		}
		out.Labels = podLabels(pod.Labels)
		if inbound, err := strconv.ParseUint(pod.Annotations[inject.InboundPortKey], 10, 16); err == nil && inbound > 0 && p.hasSidecar(pod) {
			out.Port, out.MTLS = mesh.Port(inbound), true
		}
	}
	out.ID = mesh.PodInstance(name, namespace, p.cluster)
	return out, len(out.Validate()) == 0
}

// hasSidecar says whether the pod has a sidecar of the mesh service: of several whose
// Kubernetes Services select the pod, the others' calls are not the sidecar's. Each
// that is injected has an identity.
func (p *podSet) hasSidecar(pod *metav1.PartialObjectMetadata) bool {
	return pod.Annotations[inject.StatusKey] != "" && pod.Annotations[inject.ServiceKey] == string(p.service)
}

// health says what an endpoint's conditions mean. What is left out is true for ready,
// and as ready for serving (EndpointConditions).
func health(c discoveryv1.EndpointConditions) mesh.Health {
	ready := c.Ready == nil || *c.Ready
	serving := c.Serving == nil && ready || c.Serving != nil && *c.Serving
	switch terminating := c.Terminating != nil && *c.Terminating; {
	case ready && !terminating:
		return mesh.Healthy
	case serving && terminating:
		return mesh.Draining
	}
	return mesh.Unhealthy
}

// better says which of two that have one ID or one address is to be used: IPv4 before
// IPv6, then by health.
func better(a, b *mesh.Instance) bool {
	order := func(i *mesh.Instance) int {
		return slices.Index([]mesh.Health{mesh.Healthy, mesh.Draining, mesh.Unhealthy}, i.Health)
	}
	six := func(i *mesh.Instance) int { return strings.Count(i.Address, ":") }
	if a.ID != b.ID {
		return cmp.Or(cmp.Compare(order(a), order(b)), strings.Compare(string(a.ID), string(b.ID))) < 0
	}
	return cmp.Or(cmp.Compare(min(six(a), 1), min(six(b), 1)), cmp.Compare(order(a), order(b)), strings.Compare(a.Address, b.Address)) < 0
}

// portOf finds the port of a slice that the mesh service wants.
func (p *podSet) portOf(service *corev1.Service, ports []discoveryv1.EndpointPort) (mesh.Port, bool) {
	number := func(e discoveryv1.EndpointPort) (mesh.Port, bool) {
		if e.Port == nil { // all ports
			return p.port, true
		}
		return mesh.Port(*e.Port), true
	}
	if len(ports) == 0 { // a headless Service without ports
		return p.port, p.wanted.Port == ""
	}
	ports = slices.DeleteFunc(slices.Clone(ports), func(e discoveryv1.EndpointPort) bool {
		return e.Protocol != nil && *e.Protocol != corev1.ProtocolTCP
	})
	name, known := p.portName(service)
	if !known {
		return 0, false
	}
	for _, e := range ports {
		if e.Name == nil && name == "" || e.Name != nil && *e.Name == name {
			return number(e)
		}
	}
	if p.wanted.Port == "" && len(ports) == 1 {
		return number(ports[0])
	}
	return 0, false
}

// portName is the name that the wanted port of a Kubernetes Service has.
func (p *podSet) portName(service *corev1.Service) (string, bool) {
	wanted := p.wanted.Port
	if service == nil {
		return wanted, true
	}
	tcp := slices.DeleteFunc(slices.Clone(service.Spec.Ports), func(one corev1.ServicePort) bool {
		return one.Protocol != "" && one.Protocol != corev1.ProtocolTCP
	})
	if wanted == "" && len(tcp) == 1 {
		return tcp[0].Name, true
	}
	for _, one := range tcp {
		number := strconv.Itoa(int(one.Port))
		if wanted == "" && mesh.Port(one.Port) == p.port || wanted != "" && (one.Name == wanted || number == wanted) {
			return one.Name, true
		}
	}
	return "", wanted == "" && len(tcp) == 0
}

// noise are labels that say which revision of a workload a pod is of, and no more.
var noise = []string{"pod-template-hash", "controller-revision-hash", "pod-template-generation"}

const (
	mostLabels   = 64
	longestLabel = 255
)

// podLabels are those of a pod's labels that the mesh takes.
func podLabels(all map[string]string) map[string]string {
	if len(all) == 0 {
		return nil
	}
	keys := slices.Collect(maps.Keys(all))
	if len(all) > mostLabels { // else none is left out
		slices.Sort(keys)
	}
	var out map[string]string
	for _, key := range keys {
		if slices.Contains(noise, key) || len(key) > longestLabel || len(out) == mostLabels {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(all))
		}
		out[key] = all[key]
	}
	return out
}
