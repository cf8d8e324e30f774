package kubernetes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const seeking = `
apiVersion: heddle.io/v1alpha1
kind: MeshService
metadata: {name: NAME, namespace: NS}
spec: {owner: team-shop, protocol: http, port: 80, dependencies: [], endpoints: {kubernetes: {clusters: [prod], namespace: NS, HOW}}}
`

// A MeshService without pods says why, and what there is instead, until that is mended.
func TestAServiceWithoutPodsSaysWhy(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	object := func(name, how string) string {
		return strings.NewReplacer("NAME", name, "NS", namespace, "HOW", how).Replace(seeking)
	}
	c.Apply(t, object("seek-port", `service: sought, port: grpc`)+"---"+object("seek-label", `selector: {team: sought}`))
	w.awaitCondition(namespace, "meshservice/seek-port", "EndpointsFound", "False NoService: there is no Kubernetes Service "+namespace+"/sought")
	w.awaitCondition(namespace, "meshservice/seek-label", "EndpointsFound", "False NoService: no Kubernetes Service in namespace "+namespace+" has the labels team=sought")

	sought := strings.ReplaceAll(`
apiVersion: v1
kind: Service
metadata: {name: sought, namespace: NS, labels: {team: sought}}
spec:
  selector: {app: sought}
  ports: [{name: http, port: 80, targetPort: 9100}, {name: admin, port: 9000, targetPort: 9000}]
`, "NS", namespace)
	c.Apply(t, sought)
	w.awaitCondition(namespace, "meshservice/seek-port", "EndpointsFound", `False NoSuchPort: there is no port "grpc": `+namespace+"/sought has admin (9000), http (80)")
	w.awaitCondition(namespace, "meshservice/seek-label", "EndpointsFound", "False NoEndpoints: no pod is behind "+namespace+"/sought")

	kubelet := c.Kubelet(t, "node-"+namespace, nil)
	kubelet.RunPod(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "sought-0", Labels: map[string]string{"app": "sought"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none"}}},
	}, podAddress(29))
	w.awaitCondition(namespace, "meshservice/seek-label", "EndpointsFound", "True Found: there are endpoints behind "+namespace+"/sought")
	w.awaitCondition(namespace, "meshservice/seek-port", "EndpointsFound", "False NoSuchPort")
	c.Apply(t, strings.Replace(sought, "name: admin", "name: grpc", 1))
	w.awaitCondition(namespace, "meshservice/seek-port", "EndpointsFound", "True Found")
	w.awaitInstances("seek-port", "sought-0."+namespace+".prod healthy")

	// Labels that are taken off take the instances with them.
	c.Apply(t, strings.Replace(sought, "labels: {team: sought}", "labels: {team: other}", 1))
	w.awaitCondition(namespace, "meshservice/seek-label", "EndpointsFound", "False NoService")
	w.awaitInstances("seek-label")
}

// A cluster that no operator has joined is named, wherever the others' pods are, until
// one joins it.
func TestAServiceOfAClusterThatNobodyJoinsSaysSo(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	if out, err := c.Kubectl(t, "", "annotate", "namespace", namespace, "heddle.io/endpoints-in=stgae/"+namespace); err != nil {
		t.Fatal(out, err)
	}
	object := func(name, clusters string) string {
		return strings.Replace(strings.NewReplacer("NAME", name, "NS", namespace, "HOW", "service: nowhere").Replace(seeking), "[prod]", clusters, 1)
	}
	c.Apply(t, object("of-nobody", "[stgae]")+"---"+object("of-both", "[prod, stgae]")+"---"+object("of-one", "[prod]"))
	const says = "endpoints.kubernetes.clusters names stgae, which no operator has joined to the mesh"
	w.awaitCondition(namespace, "meshservice/of-nobody", "EndpointsFound", "False NoSuchCluster: "+says)
	w.awaitCondition(namespace, "meshservice/of-both", "EndpointsFound", "False NoService: there is no Kubernetes Service "+namespace+"/nowhere; and "+says)
	w.awaitCondition(namespace, "meshservice/of-one", "EndpointsFound", "False NoService: there is no Kubernetes Service "+namespace+"/nowhere")
	if got := condition(t, c, namespace, "meshservice/of-one", "EndpointsFound"); strings.Contains(got, "stgae") {
		t.Error(got)
	}
	if err := w.api.NoteKeeper(t.Context(), "stgae", mesh.KeeperSource{Source: "another"}); err != nil {
		t.Fatal(err)
	}
	owner := 0
	awaits(t, "not say so any more", func() (bool, string) { // what was read of keepers holds for seconds, and a change has it looked at
		owner++
		c.Apply(t, strings.Replace(object("of-nobody", "[stgae]"), "team-shop", fmt.Sprint("team-", owner), 1))
		got := condition(t, c, namespace, "meshservice/of-nobody", "EndpointsFound")
		return !strings.Contains(got, "stgae"), got
	})
}

// A large set reaches the registry in many transactions, each of which comes back as
// changes: it is not sent again for that.
func TestALargeSetIsSentOnce(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	c.Apply(t, strings.NewReplacer("NAME", "crowd", "NS", namespace, "HOW", "service: crowd").Replace(seeking))
	w.awaitCondition(namespace, "meshservice/crowd", "EndpointsFound", "False NoService")
	const many = 1000
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "crowd", Labels: map[string]string{discoveryv1.LabelServiceName: "crowd"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: new(int32(80))}},
	}
	for i := range many {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.9.%d.%d", i/250, 1+i%250)}})
	}
	sets := func() string {
		for line := range strings.Lines(says(strings.TrimPrefix(w.operator.said["http"], "http://"), "/metrics")) {
			if is, ok := strings.CutPrefix(line, `heddle_operator_instance_sets_total{answer="ok",cluster="prod"} `); ok {
				return strings.TrimSpace(is)
			}
		}
		return "none"
	}
	if got := sets(); got != "0" {
		t.Fatalf("%s sets were sent of no pods", got)
	}
	if _, err := c.Client.DiscoveryV1().EndpointSlices(namespace).Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.awaitCondition(namespace, "meshservice/crowd", "EndpointsFound", "True Found")
	awaits(t, "have them all", func() (bool, string) {
		got := len(w.instances("crowd"))
		return got == many, fmt.Sprint(got)
	})
	awaits(t, "be at rest", func() (bool, string) {
		before := sets()
		time.Sleep(time.Second) // a time in which nothing is to happen
		return before == sets(), before
	})
	if got := sets(); got != "1" {
		t.Errorf("the set was sent %s times", got)
	}
}
