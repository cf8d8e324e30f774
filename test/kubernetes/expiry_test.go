package kubernetes_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// While watches expire, pods and declarations come and go. Nothing that stays is withdrawn
// or written again, and no change is lost.
func TestWatchesThatExpireLoseNothing(t *testing.T) {
	if err := addressed(); err != nil {
		t.Skip("pods need addresses of their own: ", err)
	}
	c := kubetest.Start(t, kubetest.Config{})
	install(t, c)
	e, through := startExpiring(t, c)
	w := join(t, through)
	namespace := c.Namespace(t)
	c.Apply(t, orders(namespace)+"---"+declaration(namespace, "old"))
	p := newPods(t, c, namespace, 20)
	for n := range 3 {
		p.run(n)
	}
	id := func(n int) string { return fmt.Sprintf("orders-%d.%s.prod healthy", n, namespace) }
	w.awaitInstances("orders", id(0), id(1), id(2))
	w.awaitService("old", true)
	w.awaitPods("orders")
	stays := w.holds("orders", 2)
	written := w.revisions("orders")

	e.expire(t, c, namespace, "/endpointslices", func() {})
	e.expire(t, c, namespace, "/heddle.io/", func() {})
	if again := w.revisions("orders"); !maps.Equal(again, written) {
		t.Errorf("what did not change was written again: %v after %v", again, written)
	}
	e.expire(t, c, namespace, "/endpointslices", func() {
		p.run(3)
		p.stop(2, 0)
		p.awaitSlices(c, 0, 1, 3)
	})
	w.awaitInstances("orders", id(0), id(1), id(3))
	e.expire(t, c, namespace, "/heddle.io/", func() {
		c.Apply(t, declaration(namespace, "new"))
		if out, err := c.Kubectl(t, "", "delete", "-n", namespace, "meshservice/old", "--wait=false"); err != nil {
			t.Fatal(out, err)
		}
	})
	w.awaitService("new", true)
	w.awaitService("old", false)
	e.expire(t, c, namespace, "/", func() {
		p.run(2)
		p.stop(3, 0)
		p.awaitSlices(c, 0, 1, 2)
	})
	w.awaitInstances("orders", id(0), id(1), id(2))
	p.run(4) // which is heard of by the watches
	w.awaitInstances("orders", id(0), id(1), id(2), id(4))
	stays()
	now := w.revisions("orders")
	for _, n := range []int{0, 1} {
		one := mesh.InstanceID(fmt.Sprintf("orders-%d.%s.prod", n, namespace))
		if now[one] != written[one] {
			t.Errorf("%s was written again: at %d, after %d", one, now[one], written[one])
		}
	}
}

// declaration declares a service without pods.
func declaration(namespace, name string) string {
	return fmt.Sprintf("\n{apiVersion: heddle.io/v1alpha1, kind: MeshService, metadata: {name: %s, namespace: %s}, spec: {owner: team-shop, protocol: http, port: 80, dependencies: []}}\n", name, namespace)
}

// awaitSlices waits until the EndpointSlices of orders have these pods.
func (p *pods) awaitSlices(c *kubetest.Cluster, numbers ...int) {
	p.t.Helper()
	var want []string
	for _, n := range numbers {
		want = append(want, podAddress(p.first+n))
	}
	slices.Sort(want)
	awaits(p.t, "have the EndpointSlices changed", func() (bool, string) {
		list, err := c.Client.DiscoveryV1().EndpointSlices(p.namespace).List(p.t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=orders"})
		if err != nil {
			return false, err.Error()
		}
		var got []string
		for _, slice := range list.Items {
			for _, one := range slice.Endpoints {
				got = append(got, one.Addresses...)
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want), fmt.Sprint(got)
	})
}

func (w *world) awaitService(name mesh.ServiceName, want bool) {
	w.t.Helper()
	awaits(w.t, fmt.Sprintf("have %s in the registry: %t", name, want), func() (bool, string) {
		_, err := w.api.Service(w.t.Context(), name)
		return (err == nil) == want && (want || mesh.KindOf(err) == mesh.KindNotFound), fmt.Sprint(err)
	})
}

// awaitPods waits until the instances of a service have what only their pods and hosts say.
func (w *world) awaitPods(service mesh.ServiceName) {
	w.t.Helper()
	awaits(w.t, "know the pods and hosts of "+string(service), func() (bool, string) {
		all, err := w.api.Instances(w.t.Context(), service)
		lacks := slices.ContainsFunc(all, func(one mesh.Instance) bool { return one.Labels["version"] == "" || one.Locality.Region == "" })
		return err == nil && !lacks, fmt.Sprintf("%+v, %v", all, err)
	})
}

// revisions are those at which the instances of a service were written.
func (w *world) revisions(service mesh.ServiceName) map[mesh.InstanceID]int64 {
	w.t.Helper()
	all, err := w.api.Instances(w.t.Context(), service)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[mesh.InstanceID]int64{}
	for _, one := range all {
		out[one.ID] = one.Meta.Revision
	}
	return out
}
