package kubernetes_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	manifests "github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/kubernetes/webhook"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// joinStrictly starts a server that takes nothing but identities, mutual TLS and
// tokens, and an operator with a keeper's token, whose webhook the cluster asks.
func joinStrictly(t *testing.T, c *kubetest.Cluster, own string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, cluster: c, admin: filepath.Join(dir, "admin"), token: filepath.Join(dir, "operator"), name: "prod"}
	w.server = start(t, "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--admin-token-file", w.admin,
		"--tls-listen", hostAddress+":0", "--xds-tls-listen", hostAddress+":0", "--require-identity", "--mtls", "strict",
		"--authz-listen", hostAddress+":0", "--authz-http-listen", "127.0.0.1:0")
	w.server.awaitReady()
	text, err := os.ReadFile(w.admin)
	if err != nil {
		t.Fatal(err)
	}
	if w.api, err = client.New(client.Config{Address: w.server.said["rest"], Token: strings.TrimSpace(string(text))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	if err := os.WriteFile(w.token, []byte(w.heddle("token", "create", "--keeper", "kubernetes/prod", "--vouch-gateways")), 0o600); err != nil {
		t.Fatal(err)
	}
	account := rights(t, c, own)
	configuration := webhook.Configuration(certificates.DefaultConfiguration, own, manifests.Operator, admissionregistrationv1.Fail)
	port := heddletest.FreePort(t)
	at := fmt.Sprintf("%s:%d", hostAddress, port)
	for i := range configuration.Webhooks {
		to := &configuration.Webhooks[i].ClientConfig
		to.URL, to.Service = new("https://"+at+*to.Service.Path), nil
	}
	if _, err := c.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := c.Kubectl(t, "", "delete", "mutatingwebhookconfiguration", configuration.Name); err != nil {
			t.Error(err)
		}
	})
	w.operator = start(t, "operator", "--server", w.server.said["rest"], "--token-file", w.token,
		"--cluster", w.name+"="+account, "--http-listen", "127.0.0.1:0", "--namespace", own,
		"--webhook-listen", at, "--webhook-host", hostAddress, "--attest-url", "https://"+at,
		"--image", "heddle:test", "--pod-server", w.server.said["restTLS"], "--pod-xds", w.server.said["xdsTLS"])
	w.operator.awaitReady()
	return w
}

// rights applies what the manifests grant to the operator, and gives a kubeconfig
// with its service account, which may do that and nothing else.
func rights(t *testing.T, c *kubetest.Cluster, own string) (kubeconfig string) {
	t.Helper()
	var granted []runtime.Object
	for _, component := range manifests.Objects(manifests.Options{Namespace: own}) {
		for _, object := range component.Objects {
			switch object.GetObjectKind().GroupVersionKind().Kind {
			case "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
				granted = append(granted, object)
			}
		}
	}
	text, err := manifests.YAML(granted)
	if err != nil {
		t.Fatal(err)
	}
	c.Apply(t, string(text))
	t.Cleanup(func() {
		if _, err := c.Kubectl(t, "", "delete", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/name="+manifests.Operator); err != nil {
			t.Error(err)
		}
	})
	return kubetest.KubeconfigOf(t, c.WithToken(c.ServiceAccountToken(t, own, manifests.Operator)))
}

// A pod, another pod and a VM call each other by the same names: pods that the
// webhook injected, started from what the API server stored, which joined with the
// tokens of their service accounts; and a VM with a join token.
func TestPodsAndAVMCallEachOther(t *testing.T) {
	c := cluster(t)
	h := newHost(t, c)
	own, namespace := c.Namespace(t), c.Namespace(t)
	w := joinStrictly(t, c, own)
	kubelet := c.Kubelet(t, "host-"+own[len(own)-5:], map[string]string{"topology.kubernetes.io/zone": "z1"})
	if _, err := w.api.PutService(t.Context(), mesh.Service{Name: "billing", Owner: "team-vm", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{"orders"}}); err != nil {
		t.Fatal(err)
	}
	c.Apply(t, strings.ReplaceAll(`
apiVersion: v1
kind: Namespace
metadata: {name: NS, labels: {heddle.io/inject: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: NS}
spec: {clusterIP: None, selector: {app: orders}, ports: [{name: http, port: 8080}]}
---
apiVersion: heddle.io/v1alpha1
kind: MeshService
metadata: {name: orders, namespace: NS}
spec: {owner: team-shop, protocol: http, port: 8080, dependencies: [billing]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}
---
apiVersion: heddle.io/v1alpha1
kind: MeshService
metadata: {name: web, namespace: NS}
spec: {owner: team-shop, protocol: http, port: 8080, dependencies: [orders, billing]}
`, "NS", namespace))
	kubetest.Eventually(t, "have both services in the registry", func() error {
		for _, name := range []mesh.ServiceName{"orders", "web"} {
			if _, err := w.api.Service(t.Context(), name); err != nil {
				return err
			}
		}
		return nil
	})
	orders := h.runPod(kubelet, injectedPod(t, c, namespace, "orders"), "orders in a pod")
	web := h.runPod(kubelet, injectedPod(t, c, namespace, "web"), "web in a pod")
	vm := h.vm(w, "billing", "billing on a VM")

	calls := func(what string, call func() (int, string), want string) {
		t.Helper()
		kubetest.Eventually(t, what, func() error {
			if status, body := call(); status != http.StatusOK || body != want {
				return fmt.Errorf("%d %q", status, body)
			}
			return nil
		})
	}
	calls("call a pod from a pod", func() (int, string) { return web.curl("http://orders.mesh:8080/") }, "orders in a pod, token true")
	calls("call a VM from a pod", func() (int, string) { return web.curl("http://billing.mesh:8080/") }, "billing on a VM, token true")
	calls("call a pod from a VM", func() (int, string) { return vm.curl("http://127.0.0.1:15001/", "-H", "Host: orders.mesh") }, "orders in a pod, token true")
	if status, body := orders.curl("http://web.mesh:8080/"); status != http.StatusForbidden || !strings.Contains(body, "has not declared") {
		t.Errorf("a call that nobody declared: %d %q", status, body)
	}
	for _, address := range []string{orders.address + ":8080", orders.address + ":15006"} {
		plain := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		if answer, err := plain.Get("http://" + address + "/"); err == nil { //nolint:noctx // it has a timeout
			answer.Body.Close()
			t.Errorf("plain text is taken at %s: %s", address, answer.Status)
		}
	}
	w.operator.hadAllRights(t)
	for line := range strings.Lines(w.heddle("token", "list")) {
		if strings.Contains(line, "pod "+namespace) && !strings.Contains(line, "1 of 1 used") {
			t.Errorf("a pod's join token can be used again: %s", line)
		}
	}
}

// injectedPod creates a pod, as soon as the API server has it injected.
func injectedPod(t *testing.T, c *kubetest.Cluster, namespace, service string) *corev1.Pod {
	t.Helper()
	pods := c.Client.CoreV1().Pods(namespace)
	var made *corev1.Pod
	kubetest.Eventually(t, "have "+service+" injected", func() (err error) {
		made, err = pods.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: service + "-1", Labels: map[string]string{"app": service}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app", Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(8080)}}}}}},
		}, metav1.CreateOptions{})
		if err == nil && len(made.Spec.InitContainers) != 2 {
			err = fmt.Errorf("%d init containers", len(made.Spec.InitContainers))
			_ = pods.Delete(t.Context(), service+"-1", *metav1.NewDeleteOptions(0))
		}
		return err
	})
	return made
}

// vm runs a workload that knows nothing of Kubernetes.
func (h *host) vm(w *world, service, says string) *space {
	h.t.Helper()
	s := h.space()
	join := filepath.Join(s.folder, "join")
	if err := os.WriteFile(join, []byte(w.heddle("token", "create", "--join", service)), 0o644); err != nil { //nolint:gosec // for one use, by another user
		h.t.Fatal(err)
	}
	for _, name := range []string{"identity", "run"} {
		h.must("install", "-d", "-m", "0700", "-o", appUser, filepath.Join(s.folder, name))
	}
	s.application("127.0.0.1:9000", says)
	command := s.command(as(appUser), filepath.Join(h.binary, "heddle"), "proxy", "--service", service, "--instance", service+"-vm",
		"--app-port", "9000", "--inbound-port", "8080", "--advertise-address", s.address,
		"--server", w.server.said["restTLS"], "--xds", w.server.said["xdsTLS"], "--identity-dir", filepath.Join(s.folder, "identity"), "--join-token-file", join,
		"--envoy", filepath.Join(h.binary, "envoy"))
	command.Dir = filepath.Join(s.folder, "run")
	command.Env = append(command.Env, "TMPDIR="+command.Dir)
	s.background(command)
	return s
}
