package operator

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Of a Gateway's Service the cache holds where clients reach it, of others it does not;
// of all what backends are told by.
func TestTrimmedServices(t *testing.T) {
	service := func(labels map[string]string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"heddle.io/service": "web", "other": "x"}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.0.0.1", ExternalIPs: []string{"192.0.2.1"}, Ports: []corev1.ServicePort{{Port: 80}}},
			Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.2"}}}},
		}
	}
	for name, c := range map[string]struct {
		labels map[string]string
		want   bool
	}{"of a Gateway": {map[string]string{"gateway.networking.k8s.io/gateway-name": "edge"}, true}, "of an application": {map[string]string{"app": "web"}, false}} {
		t.Run(name, func(t *testing.T) {
			got, err := trim(service(c.labels))
			if err != nil {
				t.Fatal(err)
			}
			s := got.(*corev1.Service)
			if s.Spec.Type != corev1.ServiceTypeLoadBalancer || len(s.Spec.Ports) != 1 || len(s.Annotations) != 1 {
				t.Errorf("it lost its type, its ports or our annotation: %+v", s)
			}
			if has := len(s.Status.LoadBalancer.Ingress) == 1 && len(s.Spec.ExternalIPs) == 1 && s.Spec.ClusterIP != ""; has != c.want {
				t.Errorf("it has its addresses: %v, %+v", has, s)
			}
		})
	}
}
