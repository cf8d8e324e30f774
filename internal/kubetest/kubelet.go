package kubetest

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// Kubelet stands in for the kubelet of one node: it says of pods what a test
// wants said, and the cluster's controllers act on it. Nothing runs in its pods.
type Kubelet struct {
	cluster *Cluster
	node    string
}

// Kubelet makes a node that is ready, until the test ends. EndpointSlices tell
// its label topology.kubernetes.io/zone.
func (c *Cluster) Kubelet(t testing.TB, node string, labels map[string]string) *Kubelet {
	t.Helper()
	nodes := c.Client.CoreV1().Nodes()
	made, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("make node %s: %v", node, err)
	}
	t.Cleanup(func() { c.deleteNode(t, node) })
	made.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastTransitionTime: metav1.Now()}}
	if _, err := nodes.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("have node %s ready: %v", node, err)
	}
	return &Kubelet{cluster: c, node: node}
}

// RunPod has a pod run and be ready with these addresses, one or one of each
// family (loopback is refused in EndpointSlices). A pod that does not exist yet
// is made; one that has no node yet, of a Deployment for instance, is bound to
// this one.
func (k *Kubelet) RunPod(t testing.TB, pod *corev1.Pod, addresses ...string) *corev1.Pod {
	t.Helper()
	pods := k.cluster.Client.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.UID == "":
		pod = pod.DeepCopy()
		pod.Spec.NodeName = k.node
		made, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("make pod %s/%s: %v", pod.Namespace, pod.Name, err)
		}
		pod = made
	case pod.Spec.NodeName == "":
		err := pods.Bind(t.Context(), &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: k.node},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("bind pod %s/%s to node %s: %v", pod.Namespace, pod.Name, k.node, err)
		}
	}
	return k.SetStatus(t, pod, func(pod *corev1.Pod) { runs(pod, addresses) })
}

// SetReady says whether the pod's containers pass their readiness probes.
func (k *Kubelet) SetReady(t testing.TB, pod *corev1.Pod, ready bool) *corev1.Pod {
	t.Helper()
	return k.SetStatus(t, pod, func(pod *corev1.Pod) { setReady(pod, ready) })
}

// SetStatus changes the status of a pod as the change, made to its newest
// state, says.
func (k *Kubelet) SetStatus(t testing.TB, pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pods := k.cluster.Client.CoreV1().Pods(pod.Namespace)
	var changed *corev1.Pod
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		newest, err := pods.Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(newest)
		changed, err = pods.UpdateStatus(t.Context(), newest, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatalf("set the status of pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
	return changed
}

// Terminate asks for the pod's end: it has its deletion timestamp, is still
// ready, and stays until [Kubelet.Finish], as during its grace period.
func (k *Kubelet) Terminate(t testing.TB, pod *corev1.Pod) {
	t.Helper()
	if err := k.cluster.Client.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
}

// Finish says that the pod's containers have ended, upon which it is gone.
func (k *Kubelet) Finish(t testing.TB, pod *corev1.Pod) {
	t.Helper()
	if err := k.cluster.Client.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatalf("remove pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
}

// runs has all containers of a pod running and ready.
func runs(pod *corev1.Pod, addresses []string) {
	now := metav1.Now()
	pod.Status.Phase, pod.Status.StartTime = corev1.PodRunning, &now
	pod.Status.HostIP, pod.Status.HostIPs = hostIP, []corev1.HostIP{{IP: hostIP}}
	pod.Status.PodIPs = nil
	for _, address := range addresses {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: address})
	}
	if len(addresses) > 0 {
		pod.Status.PodIP = addresses[0]
	}
	pod.Status.InitContainerStatuses = statuses(pod.Spec.InitContainers, true)
	pod.Status.ContainerStatuses = statuses(pod.Spec.Containers, false)
	setCondition(pod, corev1.PodScheduled, true)
	setCondition(pod, corev1.PodReadyToStartContainers, true)
	setCondition(pod, corev1.PodInitialized, true)
	setReady(pod, true)
}

// hostIP is the address of every node, one that documentation is given.
const hostIP = "192.0.2.1"

// statuses has containers running; those that initialize, but for sidecars, have ended.
func statuses(containers []corev1.Container, initialize bool) []corev1.ContainerStatus {
	now := metav1.Now()
	var all []corev1.ContainerStatus
	for _, container := range containers {
		started := true
		one := corev1.ContainerStatus{Name: container.Name, Image: container.Image, ImageID: container.Image, Started: &started}
		if sidecar := container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways; initialize && !sidecar {
			one.State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}
			one.Ready = true
		} else {
			one.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
		}
		all = append(all, one)
	}
	return all
}

func setReady(pod *corev1.Pod, ready bool) {
	for _, all := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range all {
			if all[i].State.Running != nil {
				all[i].Ready = ready
			}
		}
	}
	setCondition(pod, corev1.ContainersReady, ready)
	setCondition(pod, corev1.PodReady, ready)
}

func setCondition(pod *corev1.Pod, name corev1.PodConditionType, holds bool) {
	status := corev1.ConditionFalse
	if holds {
		status = corev1.ConditionTrue
	}
	for i, condition := range pod.Status.Conditions {
		if condition.Type != name {
			continue
		}
		if condition.Status != status {
			pod.Status.Conditions[i].Status, pod.Status.Conditions[i].LastTransitionTime = status, metav1.Now()
		}
		return
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: name, Status: status, LastTransitionTime: metav1.Now()})
}
