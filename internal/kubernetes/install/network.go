package install

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// nothingElse is what holds for the pods of all components beside their own policies:
// nothing comes in and nothing goes out. Other pods of the namespace are not concerned.
func (o Options) nothingElse() *networkingv1.NetworkPolicy {
	all := o.networkPolicy("heddle", networkingv1.NetworkPolicyIngressRule{})
	all.Spec.PodSelector, all.Spec.Ingress = ours, nil
	return all
}

// networkPolicy lets in what a component serves, and out what it calls, and nothing
// else. A kubelet's probes come in by any policy.
func (o Options) networkPolicy(name string, serves networkingv1.NetworkPolicyIngressRule, calls ...networkingv1.NetworkPolicyEgressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta: kind("networking.k8s.io/v1", "NetworkPolicy"), ObjectMeta: o.meta(name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *selector(name), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{serves}, Egress: calls,
		},
	}
}

// from lets in the pods of a component, or with "" whoever comes: sidecars, VMs and the
// API server have no labels to select them by, and mutual TLS or tokens decide.
func from(component string, ports ...int32) networkingv1.NetworkPolicyIngressRule {
	rule := networkingv1.NetworkPolicyIngressRule{Ports: tcp(ports)}
	if component != "" {
		rule.From = []networkingv1.NetworkPolicyPeer{{PodSelector: selector(component)}}
	}
	return rule
}

func to(component string, port int32) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{Ports: tcp([]int32{port}), To: []networkingv1.NetworkPolicyPeer{{PodSelector: selector(component)}}}
}

// anywhere lets out to ports of hosts that no label and no address tells beforehand.
func anywhere(ports ...int32) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{Ports: tcp(ports)}
}

// names lets out to DNS, which is a pod's or the host's.
var names = networkingv1.NetworkPolicyEgressRule{Ports: append(tcp([]int32{53}), networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolUDP), Port: new(intstr.FromInt32(53))})}

func tcp(ports []int32) (out []networkingv1.NetworkPolicyPort) {
	for _, number := range ports {
		out = append(out, networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(number))})
	}
	return out
}

// targets are the ports of the pods behind a Service.
func targets(ports []corev1.ServicePort) (out []int32) {
	for _, one := range ports {
		out = append(out, one.TargetPort.IntVal)
	}
	return out
}
