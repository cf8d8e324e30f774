package gatewayapi_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// counting counts the looks at a cluster: each lists the Gateways once.
type counting struct {
	ctrl.Client

	looks atomic.Int64
}

func (c *counting) List(ctx context.Context, list ctrl.ObjectList, options ...ctrl.ListOption) error {
	if _, is := list.(*gw.GatewayList); is {
		c.looks.Add(1)
	}
	return c.Client.List(ctx, list, options...)
}

// secretReader reads from the real API, but for Secrets that it cannot be had to fail at.
type secretReader struct {
	ctrl.Reader

	mu    sync.Mutex
	whole map[string]int // guarded by mu, as all below: how often each was read with its key
	heads map[string]int // and without
	fails map[string]bool
}

func (r *secretReader) Get(ctx context.Context, at types.NamespacedName, into ctrl.Object, options ...ctrl.GetOption) error {
	r.mu.Lock()
	if _, is := into.(*corev1.Secret); is {
		r.whole[at.Name]++
	} else {
		r.heads[at.Name]++
	}
	fails := r.fails[at.Name]
	r.mu.Unlock()
	if fails {
		return errors.New("the API server cannot decrypt it")
	}
	return r.Reader.Get(ctx, at, into, options...)
}

func (r *secretReader) counts() (whole, heads map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.whole), maps.Clone(r.heads)
}

func (r *secretReader) fail(name string, fails bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails[name] = fails
}

const httpsObjects = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs, namespace: NAMESPACE}
spec: {gatewayClassName: theirs, listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: theirs}]}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: bad, namespace: NAMESPACE}
type: Opaque
---
apiVersion: v1
kind: Secret
metadata: {name: broken, namespace: NAMESPACE}
type: Opaque
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: secure, namespace: NAMESPACE}
spec:
  gatewayClassName: heddle
  listeners:
  - {name: plain, port: 80, protocol: HTTP}
  - {name: bad, port: 443, hostname: bad.test, protocol: HTTPS, tls: {certificateRefs: [{name: bad}]}}
  - {name: broken, port: 443, hostname: broken.test, protocol: HTTPS, tls: {certificateRefs: [{name: broken}]}}
  - {name: ungranted, port: 443, hostname: ungranted.test, protocol: HTTPS, tls: {certificateRefs: [{name: ungranted, namespace: default}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: secure, namespace: NAMESPACE}
spec:
  parentRefs: [{name: secure}]
  rules: [{backendRefs: [{name: web, port: 8080}]}]
`

// TestASecretThatCannotBeReadIsItsListenersTroubleAlone: others are served, what it
// has stays, and Secrets of other controllers' Gateways and without a grant are not read.
func TestASecretThatCannotBeReadIsItsListenersTroubleAlone(t *testing.T) {
	cluster := kubetest.Shared(t)
	cluster.GatewayAPI(t)
	namespace := cluster.Namespace(t)
	api := registryServer(t, new(atomic.Int64))
	apply(t, cluster, objects+"\n---\n"+httpsObjects, namespace)
	reader := &secretReader{whole: map[string]int{}, heads: map[string]int{}, fails: map[string]bool{"broken": true, "theirs": true, "ungranted": true}}
	m := start(t, cluster, api, func(c *gatewayapi.Controller) { reader.Reader, c.Live = c.Live, reader })

	resolved := func(want map[string]string) {
		t.Helper()
		kubetest.Eventually(t, fmt.Sprintf("have ResolvedRefs of listeners be %v", want), func() error {
			var gateway gw.Gateway
			if err := m.GetAPIReader().Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "secure"}, &gateway); err != nil {
				return err
			}
			got := map[string]string{}
			for _, l := range gateway.Status.Listeners {
				if one := meta.FindStatusCondition(l.Conditions, "ResolvedRefs"); one != nil {
					got[string(l.Name)] = string(one.Status) + " " + one.Reason
				}
			}
			if !maps.Equal(got, want) {
				return fmt.Errorf("the gateway says %s", inShort(gateway.Status))
			}
			return nil
		})
	}
	want := map[string]string{"plain": "True ResolvedRefs", "bad": "False InvalidCertificateRef", "broken": "Unknown Pending", "ungranted": "False RefNotPermitted"}
	resolved(want)
	routes, err := api.Routes(t.Context())
	if err != nil || len(routes) != 3 { // of edge, and by HTTP and HTTPS of secure
		t.Errorf("the registry has routes %s: %v", inShort(routes), err)
	}
	whole, heads := reader.counts()
	if whole["theirs"]+heads["theirs"]+whole["ungranted"]+heads["ungranted"] > 0 {
		t.Errorf("Secrets that are not ours were read: %v, %v", whole, heads)
	}
	if whole["bad"] != 1 {
		t.Errorf("a Secret that did not change was read %d times", whole["bad"])
	}

	reader.fail("broken", false)
	want["broken"] = "False InvalidCertificateRef"
	resolved(want)
	var secret corev1.Secret
	if err := m.GetAPIReader().Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "bad"}, &secret); err != nil {
		t.Fatal(err)
	}
	if whole, heads = reader.counts(); whole["bad"] != 1 || heads["bad"] == 0 {
		t.Errorf("a Secret that did not change was read %d times, and asked for its version %d times", whole["bad"], heads["bad"])
	}
}

// TestWhatDoesNotConcernRoutesCostsNothing: neither a look for each status of a Service,
// nor one for each of many changes, nor lists of the registry for either.
func TestWhatDoesNotConcernRoutesCostsNothing(t *testing.T) {
	cluster := kubetest.Shared(t)
	cluster.GatewayAPI(t)
	namespace := cluster.Namespace(t)
	var lists atomic.Int64
	api := registryServer(t, &lists)
	apply(t, cluster, objects, namespace)
	client := &counting{}
	m := start(t, cluster, api, func(c *gatewayapi.Controller) { client.Client, c.Client = c.Client, client })
	move(t, m, namespace, "192.0.2.2") // what was written at first has been read by then
	move(t, m, namespace, "192.0.2.3")

	looks, listed := client.looks.Load(), lists.Load()
	for i := range 30 {
		condition := metav1.Condition{Type: "Tried", Status: metav1.ConditionTrue, Reason: "Try" + strconv.Itoa(i), LastTransitionTime: metav1.Now()}
		if err := m.GetClient().Status().Update(t.Context(), edge(t, m, namespace, func(s *corev1.Service) { s.Status.Conditions = []metav1.Condition{condition} })); err != nil {
			t.Fatal(err)
		}
	}
	move(t, m, namespace, "192.0.2.4")
	if got := client.looks.Load() - looks; got > 2 {
		t.Errorf("30 statuses and 1 change of a Service made %d looks at the cluster", got)
	}

	looks = client.looks.Load()
	began, changes := time.Now(), 0
	for ; time.Since(began) < 3*apart; changes++ {
		if err := m.GetClient().Update(t.Context(), edge(t, m, namespace, func(s *corev1.Service) { s.Spec.ExternalIPs = []string{fmt.Sprintf("192.0.2.%d", 10+changes%100)} })); err != nil {
			t.Fatal(err)
		}
	}
	move(t, m, namespace, "192.0.2.5")
	if got, most := client.looks.Load()-looks, int64(time.Since(began)/apart)+2; got > most || got < 2 {
		t.Errorf("%d changes within %s made %d looks at the cluster, want 2 to %d", changes, time.Since(began), got, most)
	}
	if got := lists.Load() - listed; got != 0 {
		t.Errorf("the registry was listed %d times, which did not change", got)
	}
}

const apart = time.Second // of two looks while changes keep coming
