package kubernetes_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// readinessIsFollowed: the kubelet's probe reaches the application through the
// sidecar, and the mesh hears what it finds.
func (k *kubeletWorld) readinessIsFollowed(pod *corev1.Pod) {
	k.t.Helper()
	control := "http://" + pod.Status.PodIP + ":" + controlPort
	name := fmt.Sprintf("%s.%s.prod ", pod.Name, k.namespace)
	k.get(control + "/unready?is=true")
	k.awaitInstances("web", name+string(mesh.Unhealthy))
	k.get(control + "/unready?is=false")
	k.awaitInstances("web", name+string(mesh.Healthy))
}

// sidecarComesBack: one that dies is started again by the kubelet, as who it was,
// and the application, which went on, calls through it again.
func (k *kubeletWorld) sidecarComesBack(pod *corev1.Pod) {
	k.t.Helper()
	kill(k, "--instance\x00"+pod.Name+".")
	kubetest.Eventually(k.t, "have the sidecar started again", func() error {
		got, err := k.cluster.Client.CoreV1().Pods(k.namespace).Get(k.t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		sidecar, application := got.Status.InitContainerStatuses[1], got.Status.ContainerStatuses[0]
		if sidecar.RestartCount != 1 || !sidecar.Ready || !application.Ready || application.RestartCount != 0 {
			return fmt.Errorf("%s", describe([]*corev1.Pod{got}))
		}
		return nil
	})
	kubetest.Eventually(k.t, "call through it", func() error {
		if got := k.call("http://"+pod.Status.PodIP+":"+controlPort, "http://orders.mesh:8080/", ""); got.Status != http.StatusOK {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
}

// kill ends the one process whose arguments contain a text.
func kill(k *kubeletWorld, text string) {
	k.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		k.t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(line, []byte("heddle\x00proxy\x00")) || !bytes.Contains(line, []byte(text)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			k.t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			k.t.Fatal(err)
		}
		return
	}
	k.t.Fatalf("no process has %q", text)
}

// podsThatEnd: one that is deleted still calls through the mesh after it was told
// to end, and its sidecar ends after it; one that has done its work, as a Job's,
// ends with its sidecar; one may be kept from calling outside of the mesh.
func (k *kubeletWorld) podsThatEnd() {
	k.t.Helper()
	pods := k.cluster.Client.CoreV1().Pods(k.namespace)
	deleted := k.lonePod("last", ":8080 last", map[string]string{"heddle.io/app-port": "8080"})
	deleted.Finalizers = []string{"heddle.test/kept"}
	deleted.Spec.Containers[0].Env = append(deleted.Spec.Containers[0].Env, corev1.EnvVar{Name: podLast, Value: "http://orders.mesh:8080/"})
	job := k.lonePod("job", "once http://orders.mesh:8080/", map[string]string{"heddle.io/app-port": "none"})
	denied := k.lonePod("denied", "once http://outside.test:8088/", map[string]string{"heddle.io/app-port": "none", "heddle.io/outside": "deny"})
	for _, pod := range []*corev1.Pod{deleted, job, denied} {
		if _, err := pods.Create(k.t.Context(), pod, metav1.CreateOptions{}); err != nil {
			k.t.Fatal(err)
		}
	}
	kubetest.Eventually(k.t, "have the pod run", func() error {
		got, err := pods.Get(k.t.Context(), "last", metav1.GetOptions{})
		if err == nil && (len(got.Status.ContainerStatuses) != 1 || !got.Status.ContainerStatuses[0].Ready) {
			err = fmt.Errorf("%s", describe([]*corev1.Pod{got}))
		}
		return err
	})
	if err := pods.Delete(k.t.Context(), "last", metav1.DeleteOptions{}); err != nil {
		k.t.Fatal(err)
	}
	k.ended("last", 0, "200 orders in a pod, token true")
	k.ended("job", 0, "200 orders in a pod, token true")
	k.ended("denied", 1, `403 heddle: service "web" has not declared a dependency on "outside.test"`)
	if _, err := pods.Patch(k.t.Context(), "last", types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/finalizers"}]`), metav1.PatchOptions{}); err != nil {
		k.t.Fatal(err)
	}
}

// lonePod is a pod of the service web that no controller has.
func (k *kubeletWorld) lonePod(name, says string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}, Annotations: annotations},
		Spec: corev1.PodSpec{
			NodeName: k.name, RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{
				Name: "app", Image: "app:test", Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
				Env: []corev1.EnvVar{{Name: podApp, Value: says}},
			}},
		},
	}
}

// ended waits until a pod's containers have ended, and wants the application to
// have said something of a kind, and its sidecar to have ended well and after it.
func (k *kubeletWorld) ended(name string, code int32, says string) {
	k.t.Helper()
	kubetest.Eventually(k.t, "have pod "+name+" end", func() error {
		pod, err := k.cluster.Client.CoreV1().Pods(k.namespace).Get(k.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		state := describe([]*corev1.Pod{pod})
		if len(pod.Status.ContainerStatuses) != 1 || len(pod.Status.InitContainerStatuses) != 2 {
			return fmt.Errorf("%s", state)
		}
		application, sidecar := pod.Status.ContainerStatuses[0].State.Terminated, pod.Status.InitContainerStatuses[1].State.Terminated
		if application == nil || sidecar == nil {
			return fmt.Errorf("%s", state)
		}
		if application.ExitCode != code || !strings.HasPrefix(application.Message, says) {
			k.t.Errorf("%s", state)
		}
		if sidecar.ExitCode != 0 || sidecar.FinishedAt.Before(&application.FinishedAt) {
			k.t.Errorf("the sidecar did not end well, or not last: %s", state)
		}
		return nil
	})
}
