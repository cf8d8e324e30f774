package install

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// networkPolicy lets in what a component serves, and nothing else: from the pods
// of another component, or with "" from everywhere, where mutual TLS or tokens
// decide. The API server, which calls the operator, has no labels to select it by.
// Where connections go to is left open: etcd and issuers are anywhere.
func (o Options) networkPolicy(name string, from string, ports ...int32) *networkingv1.NetworkPolicy {
	var in networkingv1.NetworkPolicyIngressRule
	if from != "" {
		in.From = []networkingv1.NetworkPolicyPeer{{PodSelector: selector(from)}}
	}
	for _, number := range ports {
		in.Ports = append(in.Ports, networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(number))})
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta: kind("networking.k8s.io/v1", "NetworkPolicy"), ObjectMeta: o.meta(name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *selector(name), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{in},
		},
	}
}
