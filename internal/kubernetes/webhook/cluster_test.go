package webhook_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/kubernetes/webhook"
	"github.com/heddle-mesh/heddle/internal/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }

// running is a webhook that a cluster asks, with two replicas that keep its
// certificate and serve connections by turns.
type running struct {
	cluster       *kubetest.Cluster
	namespace     string // has opted in
	own           string // the operator's
	configuration string
	replicas      [2]*certificates.Keeper
	connections   atomic.Int64
	stop          func()
}

// start has the cluster ask; change may alter what it is told first.
func start(t *testing.T, lives certificates.Lives, change func(*admissionregistrationv1.MutatingWebhookConfiguration), more func(*http.ServeMux)) *running {
	t.Helper()
	r := &running{cluster: kubetest.Shared(t)}
	r.namespace, r.own = r.cluster.Namespace(t), r.cluster.Namespace(t)
	r.configuration = r.own
	label(t, r.cluster, r.namespace)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	configuration := webhook.Configuration(r.configuration, r.own, "heddle-operator", admissionregistrationv1.Fail)
	if change != nil {
		change(configuration)
	}
	for i := range configuration.Webhooks {
		to := &configuration.Webhooks[i].ClientConfig
		path := "/other"
		if to.Service != nil {
			path = *to.Service.Path
		}
		to.Service, to.URL = nil, new("https://"+listener.Addr().String()+path)
	}
	configurations := r.cluster.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = configurations.Delete(context.Background(), r.configuration, metav1.DeleteOptions{}) })

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, len(r.replicas))
	for i := range r.replicas {
		r.replicas[i] = certificates.New(certificates.Config{
			Client: r.cluster.Client, Namespace: r.own, Hosts: []string{"127.0.0.1"}, Configuration: r.configuration,
			Lives: lives, Every: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)).With("replica", i),
		})
		go func() { ended <- r.replicas[i].Run(ctx) }()
	}
	mux := http.NewServeMux()
	mux.Handle("/inject/", webhook.Handler(webhook.Config{Settings: r.settings, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}))
	if more != nil {
		more(mux)
	}
	server := webhook.NewServer(mux, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return r.replicas[r.connections.Add(1)%2].TLS().GetCertificate(hello)
		},
	}, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	server.SetKeepAlivesEnabled(false) // each call is a handshake
	served := make(chan error, 1)
	serving, end := context.WithCancel(context.Background())
	go func() { served <- webhook.Serve(serving, server, listener) }()
	r.stop = func() {
		end()
		if err := <-served; err != nil {
			t.Error(err)
		}
		cancel()
		for range r.replicas {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		r.stop = func() {}
	}
	t.Cleanup(func() { r.stop() })
	kubetest.Eventually(t, "have the webhook's roots published", func() error { return r.published(t.Context()) })
	return r
}

func (r *running) settings() inject.Settings {
	return inject.Settings{
		Cluster: "prod", Namespace: r.own, Image: "heddle:1", Server: "https://server:7443", XDS: []string{"server:18443"},
		AttestURL: "https://operator:443", AttestCA: r.replicas[0].Roots(),
	}
}

// published says what keeps the API server from knowing what both replicas serve.
func (r *running) published(ctx context.Context) error {
	found, err := r.cluster.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, r.configuration, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, one := range found.Webhooks {
		for _, replica := range r.replicas {
			if roots := string(one.ClientConfig.CABundle); roots == "" || roots != replica.Roots() {
				return fmt.Errorf("webhook %s has %d bytes of roots, a replica %d", one.Name, len(roots), len(replica.Roots()))
			}
		}
	}
	return nil
}

func label(t *testing.T, cluster *kubetest.Cluster, namespace string) {
	t.Helper()
	_, err := cluster.Client.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, []byte(`{"metadata":{"labels":{"heddle.io/inject":"enabled"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func pod(namespace, name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "web:1", Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8080)}}}}}},
	}
}

func (r *running) create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return r.cluster.Client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
}

func injected(pod *corev1.Pod) bool {
	for _, container := range pod.Spec.InitContainers {
		if container.Name == inject.SidecarName {
			return true
		}
	}
	return false
}

// kubectl creates objects in the namespace, and gives what kubectl says of warnings
// and refusals.
func (r *running) kubectl(t *testing.T, objects string) string {
	t.Helper()
	if _, err := r.cluster.Kubectl(t, objects, "create", "--warnings-as-errors", "-n", r.namespace, "-f", "-"); err != nil {
		return err.Error()
	}
	return ""
}

// warm returns once the API server asks the webhook, of which it hears a little later.
func (r *running) warm(t *testing.T) {
	t.Helper()
	i := 0
	kubetest.Eventually(t, "have a pod injected", func() error {
		i++
		made, err := r.create(t.Context(), pod(r.namespace, fmt.Sprintf("warm-%d", i), map[string]string{"app": "web"}))
		if err == nil && !injected(made) {
			err = fmt.Errorf("it was not")
		}
		return err
	})
}

func TestPodsOfADeploymentAreInjected(t *testing.T) {
	r := start(t, certificates.Lives{}, nil, nil)
	r.warm(t)
	said := r.kubectl(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec:
  replicas: 2
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
      - name: app
        image: orders:1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
`)
	if said != "" {
		t.Fatal(said)
	}
	var found []corev1.Pod
	kubetest.Eventually(t, "have two pods", func() error {
		list, err := r.cluster.Client.CoreV1().Pods(r.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=orders"})
		if err == nil && len(list.Items) != 2 {
			err = fmt.Errorf("%d pods", len(list.Items))
		}
		found = list.Items
		return err
	})
	for _, one := range found {
		if !injected(&one) || one.Annotations[inject.ServiceKey] != "orders" || one.Spec.Containers[0].ReadinessProbe.HTTPGet.Path != "/probe/app/readiness" {
			t.Errorf("%s is not injected: %+v", one.Name, one.Spec)
		}
		if again, err := inject.Inject(&one, inject.ByNamespace, r.settings()); err != nil || again.Pod != nil {
			t.Errorf("injecting what the API server stored changes it: %v, %+v", err, again.Patch)
		}
	}
}

func TestWhoIsAskedAbout(t *testing.T) {
	r := start(t, certificates.Lives{}, nil, nil)
	r.warm(t)
	other := r.cluster.Namespace(t)
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"opted out":              {pod(r.namespace, "out", map[string]string{"app": "web", "heddle.io/inject": "false"}), false},
		"another namespace":      {pod(other, "other", map[string]string{"app": "web"}), false},
		"a pod that asks itself": {pod(other, "itself", map[string]string{"app": "web", "heddle.io/inject": "true"}), true},
		"kube-system":            {pod("kube-system", "itself-"+r.own[len(r.own)-5:], map[string]string{"app": "web", "heddle.io/inject": "true"}), false},
		"the operator's own":     {pod(r.own, "itself", map[string]string{"app": "web", "heddle.io/inject": "true"}), false},
		"hostNetwork":            {hostNetwork(pod(r.namespace, "host", map[string]string{"app": "web"})), false},
	} {
		t.Run(name, func(t *testing.T) {
			if test.pod.Namespace == "kube-system" {
				test.pod.Spec.ServiceAccountName = "default"
			}
			made, err := r.create(t.Context(), test.pod)
			if err != nil {
				t.Fatal(err)
			}
			if test.pod.Namespace == "kube-system" {
				defer func() {
					_ = r.cluster.Client.CoreV1().Pods("kube-system").Delete(context.Background(), made.Name, *metav1.NewDeleteOptions(0))
				}()
			}
			if injected(made) != test.want {
				t.Errorf("injected: %v", injected(made))
			}
		})
	}
}

// What a person sees who writes something that cannot be.
func TestWarningsAndRefusalsReachKubectl(t *testing.T) {
	r := start(t, certificates.Lives{}, nil, nil)
	r.warm(t)
	const begin = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad, labels: {app: web}, annotations: {heddle.io/app-port: soon}}\nspec: {containers: [{name: app, image: x}]}\n"
	if said := r.kubectl(t, begin); !strings.Contains(said, `metadata.annotations[heddle.io/app-port]: "soon" is neither a port`) {
		t.Error(said)
	}
	said := r.kubectl(t, strings.NewReplacer("heddle.io/app-port: soon", "", "containers:", "hostNetwork: true, containers:").Replace(begin))
	if !strings.Contains(said, "Warning: pod "+r.namespace+"/bad gets no Heddle sidecar: it has hostNetwork: true") {
		t.Error(said)
	}
	made, err := r.cluster.Client.CoreV1().Pods(r.namespace).Get(t.Context(), "bad", metav1.GetOptions{})
	if err != nil || !strings.HasPrefix(made.Annotations[inject.NotInjectedKey], "it has hostNetwork: true") {
		t.Errorf("%v: the pod does not say why it has no sidecar: %v", err, made)
	}
}

// Another webhook adds a container after ours: the API server asks ours again.
func TestAnotherWebhookComesLater(t *testing.T) {
	r := start(t, certificates.Lives{}, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
		other := *c.Webhooks[0].DeepCopy()
		other.Name, other.ClientConfig.Service = "zz.other.example", nil
		c.Webhooks = append(c.Webhooks, other)
	}, func(mux *http.ServeMux) { mux.HandleFunc("/other", addContainer) })
	r.warm(t)
	made, err := r.create(t.Context(), pod(r.namespace, "web", map[string]string{"app": "web"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Spec.InitContainers) != 2 || len(made.Spec.Containers) != 2 {
		t.Fatalf("%d init containers, %d containers", len(made.Spec.InitContainers), len(made.Spec.Containers))
	}
	if path := made.Spec.Containers[1].LivenessProbe.HTTPGet.Path; path != "/probe/late/liveness" {
		t.Errorf("the later container's probe goes to %s", path)
	}
}

// addContainer is another mutating webhook.
func addContainer(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	var review admissionv1.AdmissionReview
	_ = json.Unmarshal(body, &review)
	kind := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if !strings.Contains(string(review.Request.Object.Raw), `"late"`) {
		review.Response.PatchType = &kind
		review.Response.Patch = []byte(`[{"op":"add","path":"/spec/containers/-","value":{"name":"late","image":"x","livenessProbe":{"tcpSocket":{"port":8080}}}}]`)
	}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}

// A webhook that is down refuses who opted in, or with failurePolicy Ignore lets
// them go without, and concerns nobody else.
func TestWebhookDown(t *testing.T) {
	for _, policy := range []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Fail, admissionregistrationv1.Ignore} {
		t.Run(string(policy), func(t *testing.T) {
			r := start(t, certificates.Lives{}, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
				for i := range c.Webhooks {
					c.Webhooks[i].FailurePolicy = &policy
				}
			}, nil)
			r.warm(t)
			r.stop()
			made, err := r.create(t.Context(), pod(r.namespace, "web", map[string]string{"app": "web"}))
			if policy == admissionregistrationv1.Fail && (!apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "namespaces.inject.heddle.io")) {
				t.Errorf("with Fail: %v", err)
			}
			if policy == admissionregistrationv1.Ignore && (err != nil || injected(made)) {
				t.Errorf("with Ignore: %v", err)
			}
			other := r.cluster.Namespace(t)
			for _, one := range []*corev1.Pod{
				pod(other, "web", map[string]string{"app": "web"}),
				pod(r.namespace, "out", map[string]string{"app": "web", "heddle.io/inject": "false"}),
				pod(r.own, "web", map[string]string{"app": "web", "heddle.io/inject": "true"}),
			} {
				if _, err := r.create(t.Context(), one); err != nil {
					t.Errorf("%s/%s: %v", one.Namespace, one.Name, err)
				}
			}
		})
	}
}

// Two authorities and a dozen certificates come and go while pods are created, one
// after the other, each over a connection of its own, and none is refused.
func TestRotationUnderAStreamOfPods(t *testing.T) {
	r := start(t, certificates.Lives{Authority: 8 * time.Second, Leaf: 3 * time.Second, Settle: time.Second}, nil, nil)
	r.warm(t)
	authorities := map[string]bool{}
	made := 0
	for until := time.Now().Add(17 * time.Second); time.Now().Before(until); made++ {
		one, err := r.create(t.Context(), pod(r.namespace, fmt.Sprintf("web-%d", made), map[string]string{"app": "web"}))
		if err != nil || !injected(one) {
			t.Fatalf("pod %d, after %d authorities: %v", made, len(authorities), err)
		}
		for root := range strings.SplitAfterSeq(r.replicas[0].Roots(), "-----END CERTIFICATE-----\n") {
			if root != "" {
				authorities[root] = true
			}
		}
	}
	if len(authorities) < 3 {
		t.Errorf("only %d authorities", len(authorities))
	}
	t.Logf("%d pods under %d authorities, over %d connections", made, len(authorities), r.connections.Load())
}

// Somebody takes the roots out, or the whole Secret away: they are back.
func TestWhatSomebodyRemovesComesBack(t *testing.T) {
	r := start(t, certificates.Lives{}, nil, nil)
	configurations := r.cluster.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := configurations.Patch(t.Context(), r.configuration, types.JSONPatchType, []byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"},{"op":"replace","path":"/webhooks/1/clientConfig/caBundle","value":""}]`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, "have the roots back", func() error { return r.published(t.Context()) })
	before := r.replicas[0].Roots()
	if err := r.cluster.Client.CoreV1().Secrets(r.own).Delete(t.Context(), certificates.DefaultSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, "have another authority", func() error {
		if r.replicas[0].Roots() == before {
			return fmt.Errorf("it is the one before")
		}
		return r.published(t.Context())
	})
	r.warm(t)
}

func hostNetwork(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.HostNetwork, pod.Spec.Containers[0].Ports = true, nil
	return pod
}
