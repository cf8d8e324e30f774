package operator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The state of an endpoint, for short.
var (
	ready       = discoveryv1.EndpointConditions{Ready: new(true)}
	unready     = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false)}
	terminating = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(true), Terminating: new(true)}
)

func of(pod, address string, c discoveryv1.EndpointConditions) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{address}, Conditions: c, Zone: new("z1"), NodeName: new("node")}
	if pod != "" {
		e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: pod, Namespace: "shop", UID: types.UID("uid-" + pod)}
	}
	return e
}

func slice(kind discoveryv1.AddressType, ports []discoveryv1.EndpointPort, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
	return discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, AddressType: kind, Ports: ports, Endpoints: endpoints}
}

func port(name string, number int32) discoveryv1.EndpointPort {
	return discoveryv1.EndpointPort{Name: &name, Port: &number}
}

// told writes what matters of instances.
func told(instances []mesh.Instance) []string {
	var out []string
	for _, i := range instances {
		line := fmt.Sprintf("%s %s:%d %s", i.ID, i.Address, i.Port, i.Health)
		if i.MTLS {
			line += " mtls"
		}
		out = append(out, line)
	}
	return out
}

func TestInstancesOfEndpointSlices(t *testing.T) {
	http := []discoveryv1.EndpointPort{port("http", 8080)}
	both := []discoveryv1.EndpointPort{port("admin", 9000), port("http", 8080)}
	service := func(ports ...corev1.ServicePort) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{Ports: ports}}
	}
	one := service(corev1.ServicePort{Name: "http", Port: 80})
	two := service(corev1.ServicePort{Name: "admin", Port: 90}, corev1.ServicePort{Name: "http", Port: 80})
	const v4, v6 = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
	cases := map[string]struct {
		wanted mesh.KubernetesEndpoints
		backed []backing
		want   []string
	}{
		"ready, terminating, not ready": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("a", "10.0.0.1", ready), of("b", "10.0.0.2", terminating), of("c", "10.0.0.3", unready), of("d", "10.0.0.4", discoveryv1.EndpointConditions{}))}}},
			want: []string{"a.shop.prod 10.0.0.1:8080 healthy", "b.shop.prod 10.0.0.2:8080 draining", "c.shop.prod 10.0.0.3:8080 unhealthy", "d.shop.prod 10.0.0.4:8080 healthy"}},
		"the port of the same number": {backed: []backing{{"orders", two, []discoveryv1.EndpointSlice{slice(v4, both, of("a", "10.0.0.1", ready))}}}, want: []string{"a.shop.prod 10.0.0.1:8080 healthy"}},
		"a port by name":              {wanted: mesh.KubernetesEndpoints{Port: "admin"}, backed: []backing{{"orders", two, []discoveryv1.EndpointSlice{slice(v4, both, of("a", "10.0.0.1", ready))}}}, want: []string{"a.shop.prod 10.0.0.1:9000 healthy"}},
		"a port by number":            {wanted: mesh.KubernetesEndpoints{Port: "90"}, backed: []backing{{"orders", two, []discoveryv1.EndpointSlice{slice(v4, both, of("a", "10.0.0.1", ready))}}}, want: []string{"a.shop.prod 10.0.0.1:9000 healthy"}},
		"no such port":                {wanted: mesh.KubernetesEndpoints{Port: "metrics"}, backed: []backing{{"orders", two, []discoveryv1.EndpointSlice{slice(v4, both, of("a", "10.0.0.1", ready))}}}},
		"headless, without ports":     {backed: []backing{{"orders", service(), []discoveryv1.EndpointSlice{slice(v4, nil, of("a", "10.0.0.1", ready))}}}, want: []string{"a.shop.prod 10.0.0.1:80 healthy"}},
		"no Service any more":         {backed: []backing{{"orders", nil, []discoveryv1.EndpointSlice{slice(v4, http, of("a", "10.0.0.1", ready))}}}, want: []string{"a.shop.prod 10.0.0.1:8080 healthy"}},
		"one pod in two slices": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("a", "10.0.0.1", unready)), slice(v4, http, of("a", "10.0.0.1", ready))}}},
			want: []string{"a.shop.prod 10.0.0.1:8080 healthy"}},
		"one pod behind two Services": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("a", "10.0.0.1", ready))}}, {"orders", two, []discoveryv1.EndpointSlice{slice(v4, both, of("a", "10.0.0.1", ready))}}},
			want: []string{"a.shop.prod 10.0.0.1:8080 healthy"}},
		"both families": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v6, http, of("a", "fd00::1", ready), of("b", "fd00::2", ready)), slice(v4, http, of("a", "10.0.0.1", unready))}}},
			want: []string{"a.shop.prod 10.0.0.1:8080 unhealthy", "b.shop.prod fd00::2:8080 healthy"}},
		"an address that another pod got": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("a", "10.0.0.1", terminating), of("b", "10.0.0.1", ready))}}},
			want: []string{"b.shop.prod 10.0.0.1:8080 healthy"}},
		"a pod that the cache does not have": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("unknown", "10.0.0.1", ready))}}}},
		"no pod at all": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("", "10.0.0.9", ready)), slice(v6, http, of("", "::9", ready))}}},
			want: []string{"0000:0000:0000:0000:0000:0000:0000:0009.shop.prod ::9:8080 healthy", "10.0.0.9.shop.prod 10.0.0.9:8080 healthy"}},
		"host names":                     {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(discoveryv1.AddressTypeFQDN, http, of("", "a.example", ready))}}}},
		"with a sidecar":                 {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("injected", "10.0.0.5", ready))}}}, want: []string{"injected.shop.prod 10.0.0.5:15006 healthy mtls"}},
		"with another service's sidecar": {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of("others", "10.0.0.6", ready))}}}, want: []string{"others.shop.prod 10.0.0.6:8080 healthy"}},
		"only UDP":                       {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, []discoveryv1.EndpointPort{{Port: new(int32(53)), Protocol: new(corev1.ProtocolUDP)}}, of("a", "10.0.0.1", ready))}}}},
		"a long name":                    {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, of(strings.Repeat("x", 200), "10.0.0.1", ready))}}}, want: []string{strings.Repeat("x", 111) + "-" + "HASH 10.0.0.1:8080 healthy"}},
		"nothing at all":                 {},
		"no addresses":                   {backed: []backing{{"orders", one, []discoveryv1.EndpointSlice{slice(v4, http, discoveryv1.Endpoint{})}}}},
		"no slices (yet)":                {backed: []backing{{"orders", one, nil}}},
	}
	pods := map[string]*metav1.PartialObjectMetadata{}
	for _, name := range []string{"a", "b", "c", "d", "injected", "others", strings.Repeat("x", 200)} {
		pods[name] = &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"app": "orders", "pod-template-hash": "x", strings.Repeat("l", 300): "y"}}}
	}
	pods["injected"].Annotations = map[string]string{inject.InboundPortKey: "15006", inject.StatusKey: inject.Version, inject.ServiceKey: "orders"}
	pods["others"].Annotations = map[string]string{inject.InboundPortKey: "15006", inject.StatusKey: inject.Version, inject.ServiceKey: "billing"}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set := podSet{
				cluster: "prod", service: "orders", port: 80, wanted: &c.wanted, backed: c.backed,
				pod:    func(n types.NamespacedName) *metav1.PartialObjectMetadata { return pods[n.Name] },
				region: func(string) string { return "r1" },
			}
			got := set.instances()
			lines := told(got)
			for i, line := range lines { // of a long name
				if head, _, long := strings.Cut(line, "x-"); long {
					lines[i] = head + "x-HASH" + line[len(head)+18:]
				}
			}
			if diff := cmp.Diff(c.want, lines); diff != "" {
				t.Error(diff)
			}
			for _, one := range got {
				if faults := one.Validate(); len(faults) > 0 {
					t.Errorf("%s: %v", one.ID, faults)
				}
				if one.Labels != nil && !maps.Equal(one.Labels, map[string]string{"app": "orders"}) || one.Locality != (mesh.Locality{Region: "r1", Zone: "z1"}) {
					t.Errorf("%+v", one)
				}
			}
			for range 20 { // in any order
				rand.Shuffle(len(set.backed), func(i, j int) { set.backed[i], set.backed[j] = set.backed[j], set.backed[i] })
				for _, b := range set.backed {
					rand.Shuffle(len(b.slices), func(i, j int) { b.slices[i], b.slices[j] = b.slices[j], b.slices[i] })
				}
				if diff := cmp.Diff(told(got), told(set.instances())); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}
