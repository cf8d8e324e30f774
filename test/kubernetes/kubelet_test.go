package kubernetes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// deployment is a service of the mesh whose pods a Deployment makes.
func deployment(namespace, node, name string, replicas int, dependencies string) string {
	return strings.NewReplacer("NS", namespace, "NODE", node, "NAME", name, "REPLICAS", fmt.Sprint(replicas), "DEPENDENCIES", dependencies).Replace(`
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NS}
spec: {clusterIP: None, selector: {app: NAME}, ports: [{name: http, port: 8080}]}
---
apiVersion: heddle.io/v1alpha1
kind: MeshService
metadata: {name: NAME, namespace: NS}
spec: {owner: team-shop, protocol: http, port: 8080, dependencies: [DEPENDENCIES]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NS}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: NAME}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata:
      labels: {app: NAME}
      annotations: {heddle.io/app-port: "8080"}
    spec:
      nodeName: NODE
      automountServiceAccountToken: false
      containers:
      - name: app
        image: app:test
        env: [{name: HEDDLE_TEST_POD_APP, value: ":8080 NAME in a pod"}, {name: HEDDLE_TEST_POD_CONTROL, value: ":9100"}]
        ports: [{containerPort: 8080}, {containerPort: 9100}]
        readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
        securityContext: {runAsUser: 4242, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`)
}

// kubeletWorld is a mesh with a real node.
type kubeletWorld struct {
	*world
	host      *host
	node      *kubetest.Node
	name      string // of the node
	namespace string
}

// TestKubeletRunsInjectedPods: pods of Deployments that a real kubelet and a real
// container runtime run, as the API server stored them after the real webhook, in
// a mesh that takes nothing but mutual TLS and tokens, together with a VM.
func TestKubeletRunsInjectedPods(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the start of a kubelet")
	}
	c := cluster(t)
	h := newHost(t, c)
	own := c.Namespace(t)
	k := &kubeletWorld{host: h, name: "kubelet-" + own[len(own)-5:], namespace: c.Namespace(t)}
	step := steps(t)
	resolve(t)
	k.node = c.Node(t, kubetest.NodeConfig{
		Name: k.name, Images: images(t, h), Pause: "docker.io/library/pause:test", DNS: hostAddress,
		Bridge: "mesh0", Gateway: hostAddress, Subnet: "10.79.0.0/24", First: "10.79.0.100", Last: "10.79.0.199",
	})
	step("a node")
	k.world = joinStrictly(t, c, own)
	if _, err := k.api.PutService(t.Context(), mesh.Service{Name: "billing", Owner: "team-vm", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{"orders"}}); err != nil {
		t.Fatal(err)
	}
	c.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {heddle.io/inject: enabled}}\n", k.namespace))
	k.awaitInjector()
	c.Apply(t, deployment(k.namespace, k.name, "orders", 2, "billing")+"---"+deployment(k.namespace, k.name, "web", 1, "orders, billing"))
	t.Cleanup(k.removePods)
	vm := h.vm(k.world, "billing", "billing on a VM")
	step("a server, an operator and a VM")
	orders, web := k.awaitPods("orders", 2), k.awaitPods("web", 1)[0]
	step("pods that are ready")

	for _, pod := range append(orders, web) {
		k.startedInOrder(pod)
	}
	caller := "http://" + web.Status.PodIP + ":" + controlPort
	calls := func(what, from, url, host, want string) {
		t.Helper()
		kubetest.Eventually(t, what, func() error {
			if got := k.call(from, url, host); got.Status != http.StatusOK || got.Body != want {
				return fmt.Errorf("%d %q", got.Status, got.Body)
			}
			return nil
		})
	}
	onVM := "http://" + vm.address + ":" + controlPort
	calls("call a pod from a pod", caller, "http://orders.mesh:8080/", "", "orders in a pod, token true")
	calls("call a VM from a pod", caller, "http://billing.mesh:8080/", "", "billing on a VM, token true")
	calls("call a pod from a VM", onVM, "http://127.0.0.1:15001/", "orders.mesh", "orders in a pod, token true")
	calls("call outside of the mesh", caller, "http://outside.test:8088/", "", "outside")
	if got := k.call("http://"+orders[0].Status.PodIP+":"+controlPort, "http://web.mesh:8080/", ""); got.Status != http.StatusForbidden || !strings.Contains(got.Body, "has not declared") {
		t.Errorf("a call that nobody declared: %+v", got)
	}
	if status, body := fetch(http.DefaultClient, "http://"+orders[0].Status.PodIP+":8080/", ""); status != 0 {
		t.Errorf("plain text is taken: %d %s", status, body)
	}
	step("calls between pods and a VM")

	// From here on no call may fail.
	loads := []string{caller, onVM}
	k.get(caller + "/load?url=" + url.QueryEscape("http://orders.mesh:8080"))
	k.get(onVM + "/load?host=orders.mesh&url=" + url.QueryEscape("http://127.0.0.1:15001"))
	k.kubectl("scale", "deployment", "orders", "--replicas=3")
	k.awaitPods("orders", 3)
	step("scaled from 2 to 3")
	k.kubectl("scale", "deployment", "orders", "--replicas=1")
	k.awaitPods("orders", 1)
	step("scaled from 3 to 1")
	k.kubectl("rollout", "restart", "deployment", "orders")
	k.kubectl("rollout", "status", "deployment", "orders", "--timeout=2m")
	k.awaitPods("orders", 1)
	step("a rolling restart")
	k.kubectl("scale", "deployment", "orders", "--replicas=2")
	k.kubectl("delete", "pod", k.awaitPods("orders", 2)[0].Name)
	k.awaitPods("orders", 2)
	step("a pod deleted")
	for _, from := range loads {
		var got tally
		if err := json.Unmarshal([]byte(k.get(from+"/loaded")), &got); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d calls, %d failed: %v", got.Made, got.Failed, got.Answers)
		if got.Failed > 0 || got.Made < 500 || got.Answers["orders in a pod, slowly"] < 6 {
			t.Errorf("%d of %d calls failed: %q", got.Failed, got.Made, got.Why)
		}
	}
	k.readinessIsFollowed(web)
	step("readiness")
	k.sidecarComesBack(web)
	step("a sidecar that was killed")
	k.podsThatEnd()
	step("pods that end, and one that calls nobody outside")
}

// steps logs how long each took.
func steps(t testing.TB) func(name string) {
	began := time.Now()
	return func(name string) {
		t.Logf("%6.1f s: %s", time.Since(began).Seconds(), name)
		began = time.Now()
	}
}

func (k *kubeletWorld) kubectl(arguments ...string) {
	k.t.Helper()
	if _, err := k.cluster.Kubectl(k.t, "", append([]string{"--namespace", k.namespace}, arguments...)...); err != nil {
		k.t.Fatal(err)
	}
}

// awaitInjector returns once the API server asks the webhook about the namespace.
func (k *kubeletWorld) awaitInjector() {
	k.t.Helper()
	kubetest.Eventually(k.t, "have pods injected", func() error {
		pod, err := k.cluster.Client.CoreV1().Pods(k.namespace).Create(k.t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{"app": "probe"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && len(pod.Spec.InitContainers) != 2 {
			err = fmt.Errorf("%d init containers", len(pod.Spec.InitContainers))
		}
		return err
	})
}

// pods are those of a service that stay.
func (k *kubeletWorld) pods(service string) (staying []*corev1.Pod, ending int, err error) {
	list, err := k.cluster.Client.CoreV1().Pods(k.namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "app=" + service})
	if err != nil {
		return nil, 0, err
	}
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			staying = append(staying, &list.Items[i])
		}
	}
	return staying, len(list.Items) - len(staying), nil
}

// awaitPods waits until a service has so many pods, all ready, and no others.
func (k *kubeletWorld) awaitPods(service string, count int) []*corev1.Pod {
	k.t.Helper()
	var all []*corev1.Pod
	kubetest.Eventually(k.t, fmt.Sprintf("have %d ready pods of %s", count, service), func() error {
		staying, ending, err := k.pods(service)
		if err != nil {
			return err
		}
		var ready []string
		for _, pod := range staying {
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
					ready = append(ready, pod.Name)
				}
			}
		}
		if all = staying; len(staying) != count || len(ready) != count || ending > 0 {
			return fmt.Errorf("%d pods, %d ready, %d ending: %s", len(staying), len(ready), ending, describe(staying))
		}
		return nil
	})
	return all
}

// describe says where the containers of pods are.
func describe(pods []*corev1.Pod) string {
	var b strings.Builder
	for _, pod := range pods {
		fmt.Fprintf(&b, "\n%s %s", pod.Name, pod.Status.Phase)
		for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			text, _ := json.Marshal(status.State) // plain structs cannot fail
			fmt.Fprintf(&b, "\n  %s ready %t, restarts %d: %s", status.Name, status.Ready, status.RestartCount, text)
		}
	}
	return b.String()
}

// startedInOrder looks whether the rules were set before the sidecar started, and
// the sidecar was ready before the application started.
func (k *kubeletWorld) startedInOrder(pod *corev1.Pod) {
	k.t.Helper()
	init := pod.Status.InitContainerStatuses
	if len(init) != 2 || init[0].State.Terminated == nil || init[1].State.Running == nil {
		k.t.Fatalf("not an injected pod: %s", describe([]*corev1.Pod{pod}))
	}
	rules, sidecar := init[0].State.Terminated, init[1].State.Running
	if sidecar.StartedAt.Before(&rules.FinishedAt) || init[1].RestartCount > 0 {
		k.t.Errorf("not in order, or started again: %s", describe([]*corev1.Pod{pod}))
	}
	if got := k.get("http://" + pod.Status.PodIP + ":" + controlPort + "/sidecar"); !strings.HasPrefix(got, "200 ") {
		k.t.Errorf("when the application started the sidecar answered %s", got)
	}
}

// call has an application call somebody.
func (k *kubeletWorld) call(from, to, host string) (got answer) {
	k.t.Helper()
	if err := json.Unmarshal([]byte(k.get(from+"/call?host="+host+"&url="+url.QueryEscape(to))), &got); err != nil {
		k.t.Fatal(err)
	}
	return got
}

// get asks an application's control.
func (k *kubeletWorld) get(url string) string {
	k.t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	status, body := fetch(&client, url, "")
	if status != http.StatusOK {
		k.t.Fatalf("%s: %d %s", url, status, body)
	}
	return body
}

// removePods has the Deployments' pods end as they do, while there is a kubelet.
func (k *kubeletWorld) removePods() {
	if k.t.Failed() {
		return // what hangs is not to be waited for
	}
	if _, err := k.cluster.Kubectl(k.t, "", "--namespace", k.namespace, "delete", "deployment,pod", "--all", "--timeout=1m"); err != nil {
		k.t.Error(err)
	}
}
