package kubernetes_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// orders is a headless Service with a declaration of the same name.
func orders(namespace string) string {
	return strings.ReplaceAll(`
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: NS}
spec:
  clusterIP: None
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: 9100}]
---
apiVersion: heddle.io/v1alpha1
kind: MeshService
metadata: {name: orders, namespace: NS}
spec: {owner: team-shop, protocol: http, port: 80, dependencies: []}
`, "NS", namespace)
}

const ordersPort = 9100

// pods are the pods of orders that a test runs, each an application at an address.
type pods struct {
	t         testing.TB
	kubelet   *kubetest.Kubelet
	namespace string
	first     int // of its addresses
	running   map[int]*corev1.Pod
	apps      map[int]*http.Server
}

func (p *pods) run(n int) {
	p.t.Helper()
	address := podAddress(p.first + n)
	name := fmt.Sprintf("orders-%d", n)
	p.apps[n] = app(p.t, fmt.Sprintf("%s:%d", address, ordersPort), name)
	p.running[n] = p.kubelet.RunPod(p.t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name, Labels: map[string]string{"app": "orders", "version": fmt.Sprint(n), "pod-template-hash": "x"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none"}}},
	}, address)
}

// stop ends a pod as a kubelet does: it is told, goes on for its grace period, and ends.
func (p *pods) stop(n int, grace time.Duration) {
	p.t.Helper()
	p.kubelet.Terminate(p.t, p.running[n])
	time.Sleep(grace) // a pod's own time: not a wait for something
	_ = p.apps[n].Close()
	p.kubelet.Finish(p.t, p.running[n])
}

func newPods(t testing.TB, c *kubetest.Cluster, namespace string, first int) *pods {
	t.Helper()
	return &pods{
		t: t, namespace: namespace, first: first, running: map[int]*corev1.Pod{}, apps: map[int]*http.Server{},
		kubelet: c.Kubelet(t, "node-"+namespace, map[string]string{"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r1"}),
	}
}

// instances lists "id health" of a service.
func (w *world) instances(service mesh.ServiceName) []string {
	w.t.Helper()
	all, err := w.api.Instances(w.t.Context(), service)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, one := range all {
		health := one.Health
		if health == "" {
			health = mesh.Healthy
		}
		out = append(out, string(one.ID)+" "+string(health))
	}
	slices.Sort(out)
	return out
}

func (w *world) awaitInstances(service mesh.ServiceName, want ...string) {
	w.t.Helper()
	awaits(w.t, "have the instances "+strings.Join(want, ", "), func() (bool, string) {
		got := w.instances(service)
		return slices.Equal(got, want), strings.Join(got, ", ")
	})
}

// holds looks, until what it gives is called, that a service has so many instances or more.
func (w *world) holds(service mesh.ServiceName, least int) (until func()) {
	var withdrawn atomic.Value
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if all, err := w.api.Instances(w.t.Context(), service); err == nil && len(all) < least {
				withdrawn.Store(fmt.Sprint(all))
			}
		}
	}()
	end := sync.OnceFunc(func() { close(stop); <-stopped })
	w.t.Cleanup(end)
	return func() {
		w.t.Helper()
		end()
		if gone := withdrawn.Load(); gone != nil {
			w.t.Errorf("instances were withdrawn: %v", gone)
		}
	}
}

// A headless service goes from two pods to three and to one while it is called.
func TestRequestsFollowAHeadlessServiceThatIsScaled(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	kubetest.Eventually(t, "declare web, which a namespace of another test may still have", func() error {
		_, err := w.api.PutService(t.Context(), mesh.Service{Name: "web", Owner: "x", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{"orders"}})
		return err
	})
	envoy := w.sidecar("web")
	c.Apply(t, orders(namespace))
	p := newPods(t, c, namespace, 10)
	p.run(0)
	p.run(1)
	id := func(n int) string { return fmt.Sprintf("orders-%d.%s.prod", n, namespace) }
	w.awaitInstances("orders", id(0)+" healthy", id(1)+" healthy")

	all, err := w.api.Instances(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	one := all[0]
	if one.Port != ordersPort || one.Address != podAddress(10) || one.Locality != (mesh.Locality{Region: "r1", Zone: "z1"}) || one.MTLS ||
		one.Labels["version"] != "0" || one.Labels["pod-template-hash"] != "" || one.Meta.Keeper != "kubernetes/prod" {
		t.Errorf("a pod is %+v", one)
	}
	answers := func(want ...string) {
		t.Helper()
		awaits(t, "be answered by "+strings.Join(want, ", "), func() (bool, string) {
			seen := map[string]bool{}
			for range 12 {
				if status, body, err := envoy.call("orders"); err == nil && status == http.StatusOK {
					seen[body] = true
				}
			}
			got := fmt.Sprint(seen)
			return len(seen) == len(want) && !slices.ContainsFunc(want, func(name string) bool { return !seen[name] }), got
		})
	}
	answers("orders-0", "orders-1")

	// From here on no call may fail.
	var made, failed atomic.Int64
	var why atomic.Value
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			status, body, err := envoy.call("orders")
			made.Add(1)
			if err != nil || status != http.StatusOK {
				failed.Add(1)
				why.Store(fmt.Sprint(status, " ", body, " ", err))
			}
		}
	}()
	p.run(2)
	answers("orders-0", "orders-1", "orders-2")
	p.stop(0, 2*time.Second)
	p.stop(2, 2*time.Second)
	answers("orders-1")
	w.awaitInstances("orders", id(1)+" healthy")
	close(stop)
	<-stopped
	if failed.Load() > 0 || made.Load() < 100 {
		t.Errorf("%d of %d calls failed: %v", failed.Load(), made.Load(), why.Load())
	}

	// A pod that is not ready gets nothing, and comes back.
	p.run(3)
	answers("orders-1", "orders-3")
	p.kubelet.SetReady(t, p.running[3], false)
	w.awaitInstances("orders", id(1)+" healthy", id(3)+" unhealthy")
	answers("orders-1")
	p.kubelet.SetReady(t, p.running[3], true)
	answers("orders-1", "orders-3")
}

// Whatever restarts or is away, what the cluster had stays, and what changed meanwhile
// follows.
func TestRestartsWithdrawNothing(t *testing.T) {
	if err := addressed(); err != nil {
		t.Skip("pods need addresses of their own: ", err)
	}
	c := kubetest.Start(t, kubetest.Config{})
	install(t, c)
	w := join(t, c, "--lease-duration", "4s")
	namespace := c.Namespace(t)
	c.Apply(t, orders(namespace))
	p := newPods(t, c, namespace, 20)
	p.run(0)
	p.run(1)
	id := func(n int) string { return fmt.Sprintf("orders-%d.%s.prod healthy", n, namespace) }
	w.awaitInstances("orders", id(0), id(1))

	stays := w.holds("orders", 2)
	revision := func() int64 {
		all, err := w.api.Instances(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		var newest int64
		for _, one := range all {
			newest = max(newest, one.Meta.Revision)
		}
		return newest
	}
	before := revision()

	w.operator.Kill()
	w.operator.Run()
	w.operator.awaitReady()
	awaits(t, "lead again", func() (bool, string) {
		return strings.Count(w.operator.Log.String(), "msg=\"leading") >= 2, "no word of it"
	})
	if after := revision(); after != before {
		t.Errorf("a restart wrote instances anew: %d after %d", after, before)
	}

	c.StopServer(t)
	awaits(t, "lose the lease", func() (bool, string) {
		return strings.Contains(w.operator.Log.String(), "the cluster is not followed"), "no word of it"
	})
	c.StartServer(t)
	p.run(2)
	w.awaitInstances("orders", id(0), id(1), id(2))
	stays()

	// What somebody else deletes is there again.
	admin := w.api.KeptBy(mesh.Keeper("kubernetes/prod"))
	if _, err := admin.KeepInstances(t.Context(), "orders", nil); err != nil {
		t.Fatal(err)
	}
	w.awaitInstances("orders", id(0), id(1), id(2))
	if err := w.api.KeptBy(mesh.Keeper("kubernetes/prod/"+namespace+"/orders")).DeleteService(t.Context(), "orders", 0); err != nil {
		t.Fatal(err)
	}
	w.awaitInstances("orders", id(0), id(1), id(2))
}
