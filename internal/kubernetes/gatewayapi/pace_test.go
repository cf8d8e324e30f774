package gatewayapi

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
)

// TestChangesThatKeepComingAreLookedAtOnceASecond, and the first of them at once.
func TestChangesThatKeepComingAreLookedAtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		if wait := p.next(); wait != together {
			t.Errorf("the first change waits for %s", wait)
		}
		p.begin()
		time.Sleep(300 * time.Millisecond)
		if wait := p.next(); wait != apart-300*time.Millisecond {
			t.Errorf("a change 0.3 s after a look waits for %s", wait)
		}
		time.Sleep(time.Hour)
		if wait := p.next(); wait != together {
			t.Errorf("a change after a quiet hour waits for %s", wait)
		}
	})
}

// TestOnlyWhatIsLookedAtMakesAnObjectAnother: a Service has no generation that would say so.
func TestOnlyWhatIsLookedAtMakesAnObjectAnother(t *testing.T) {
	service := func(change func(*corev1.Service)) ctrl.Object {
		s := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "1", ResourceVersion: "1", Labels: map[string]string{"a": "b"}},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		change(s)
		return s
	}
	route := func(change func(*gw.HTTPRoute)) ctrl.Object {
		r := &gw.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "1", ResourceVersion: "1", Generation: 1}}
		change(r)
		return r
	}
	for name, test := range map[string]struct {
		before, now ctrl.Object
		want        bool
	}{
		"a Service's conditions": {service(func(*corev1.Service) {}), service(func(s *corev1.Service) {
			s.ResourceVersion, s.Status.Conditions = "2", []metav1.Condition{{Type: "Fine"}}
		}), false},
		"a Service's port":        {service(func(*corev1.Service) {}), service(func(s *corev1.Service) { s.Spec.Ports[0].Port = 81 }), true},
		"a Service's labels":      {service(func(*corev1.Service) {}), service(func(s *corev1.Service) { s.Labels = nil }), true},
		"a Service's annotations": {service(func(*corev1.Service) {}), service(func(s *corev1.Service) { s.Annotations = map[string]string{v1alpha1.ServiceKey: "x"} }), true},
		"a Service's load balancer": {service(func(*corev1.Service) {}), service(func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		}), true},
		"a Service made anew":   {service(func(*corev1.Service) {}), service(func(s *corev1.Service) { s.UID = "2" }), true},
		"a route's status":      {route(func(*gw.HTTPRoute) {}), route(func(r *gw.HTTPRoute) { r.ResourceVersion, r.Status.Parents = "2", []gw.RouteParentStatus{{}} }), false},
		"a route's spec":        {route(func(*gw.HTTPRoute) {}), route(func(r *gw.HTTPRoute) { r.Generation = 2 }), true},
		"a route that is to go": {route(func(*gw.HTTPRoute) {}), route(func(r *gw.HTTPRoute) { r.DeletionTimestamp = new(metav1.Now()) }), true},
	} {
		if got := differ(test.before, test.now); got != test.want {
			t.Errorf("%s: differs %t, want %t", name, got, test.want)
		}
	}
}
