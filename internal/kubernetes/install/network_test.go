package install

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	matching "k8s.io/apimachinery/pkg/labels"
)

// called are the Services of ours that arguments name, with their ports.
var called = regexp.MustCompile(`(heddle-[a-z]+)\.heddle-system\.svc(?::(\d+)|/attest)`)

// Each component reaches those of ours that its arguments name, and its etcd and its
// Redis; what they are not meant for stays shut. No network here enforces policies: they
// are read as the documentation of Kubernetes says.
func TestWhoReachesWhom(t *testing.T) {
	shared := outside()
	shared.Redis, shared.EtcdEndpoints = "redis.example.com:6380", "https://e:2379,https://[fd00::1]:2390"
	shared.APIPort = 16443
	for name, o := range map[string]Options{"inside": {Cluster: "prod"}, "outside": outside(), "Redis too": shared} {
		n := networkOf(o)
		for component, pod := range n.pods {
			if !n.selected(component) {
				t.Errorf("%s: nothing shuts %s", name, component)
			}
			for _, argument := range pod.Spec.Containers[0].Args {
				if strings.HasPrefix(argument, "--pod-") || strings.HasPrefix(argument, "--host") { // told to others
					continue
				}
				for _, call := range called.FindAllStringSubmatch(argument, -1) {
					port, err := strconv.Atoi(call[2])
					if err != nil {
						port = webhookPort // behind the Service's 443
					}
					if !n.reaches(component, call[1], int32(port)) {
						t.Errorf("%s: %s does not reach what it is told: %s", name, component, argument)
					}
				}
			}
		}
	}
	n := networkOf(shared)
	for _, one := range []struct {
		component string
		port      int32
		want      bool
	}{{Server, 2379, true}, {Server, 2390, true}, {Server, 6380, false}, {Server, 443, false}, {Authz, 2390, true}, {Authz, 6380, true}, {Operator, 443, true}, {Operator, 16443, true}, {Operator, 6443, false}, {Operator, 2379, false}, {Gateway, 9999, true}} {
		if got := n.out(one.component, "", one.port); got != one.want {
			t.Errorf("%s gets out to port %d of others: %v", one.component, one.port, got)
		}
	}
	n = networkOf(outside())
	if !n.out(Operator, "", 6443) {
		t.Error("the operator does not get out to the API server's usual port")
	}
	for _, never := range []struct {
		from, to string
		port     int32
	}{{Gateway, Redis, redisPort}, {Server, Redis, redisPort}, {Operator, Authz, authzPort}, {Server, Operator, webhookPort}, {Redis, Operator, webhookPort}, {Server, Gateway, httpPort}, {Redis, Server, restPort}, {Gateway, Server, 2379}, {Authz, Server, xdsPort}} {
		if n.reaches(never.from, never.to, never.port) {
			t.Errorf("%s reaches %s at %d", never.from, never.to, never.port)
		}
	}
}

// network is what an installation's policies say.
type network struct {
	pods     map[string]corev1.PodTemplateSpec
	policies []*networkingv1.NetworkPolicy
}

func networkOf(o Options) network {
	n := network{pods: map[string]corev1.PodTemplateSpec{}}
	for _, component := range Objects(o) {
		for _, object := range component.Objects {
			switch object := object.(type) {
			case *appsv1.Deployment:
				n.pods[object.Name] = object.Spec.Template
			case *appsv1.StatefulSet:
				n.pods[object.Name] = object.Spec.Template
			case *networkingv1.NetworkPolicy:
				n.policies = append(n.policies, object)
			}
		}
	}
	return n
}

func (n network) matches(by *metav1.LabelSelector, component string) bool {
	selector, err := metav1.LabelSelectorAsSelector(by)
	return err == nil && selector.Matches(matching.Set(n.pods[component].Labels))
}

// selected says whether policies hold for a component in both directions.
func (n network) selected(component string) bool {
	return slices.ContainsFunc(n.policies, func(one *networkingv1.NetworkPolicy) bool {
		return len(one.Spec.PolicyTypes) == 2 && len(one.Spec.Ingress)+len(one.Spec.Egress) == 0 && n.matches(&one.Spec.PodSelector, component)
	})
}

func (n network) reaches(from, to string, port int32) bool {
	return n.out(from, to, port) && n.in(from, to, port)
}

// out says whether a component gets out to another, or with "" to a host elsewhere.
func (n network) out(from, to string, port int32) bool {
	return slices.ContainsFunc(n.policies, func(one *networkingv1.NetworkPolicy) bool {
		return n.matches(&one.Spec.PodSelector, from) && slices.ContainsFunc(one.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			return n.peer(rule.To, to) && through(rule.Ports, port)
		})
	})
}

func (n network) in(from, to string, port int32) bool {
	return slices.ContainsFunc(n.policies, func(one *networkingv1.NetworkPolicy) bool {
		return n.matches(&one.Spec.PodSelector, to) && slices.ContainsFunc(one.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
			return n.peer(rule.From, from) && through(rule.Ports, port)
		})
	})
}

func (n network) peer(peers []networkingv1.NetworkPolicyPeer, component string) bool {
	return len(peers) == 0 || component != "" && slices.ContainsFunc(peers, func(one networkingv1.NetworkPolicyPeer) bool {
		return n.matches(one.PodSelector, component)
	})
}

func through(ports []networkingv1.NetworkPolicyPort, port int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(one networkingv1.NetworkPolicyPort) bool {
		return *one.Protocol == corev1.ProtocolTCP && one.Port.IntVal == port
	})
}
