package attest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }

// meshOf has services, and hands out join tokens that say whose they are.
type meshOf struct {
	services map[mesh.ServiceName]*mesh.Service
	down     error
	refuses  error
}

func (m meshOf) Service(_ context.Context, name mesh.ServiceName) (*mesh.Service, error) {
	if m.down != nil {
		return nil, m.down
	}
	if service := m.services[name]; service != nil {
		return service, nil
	}
	return nil, mesh.NotFound("no service %q", name)
}

func (m meshOf) JoinToken(_ context.Context, of mesh.Identity, to client.Bound, _ int64, description string, life time.Duration) (string, error) {
	if m.refuses != nil {
		return "", m.refuses
	}
	said := append([]string{"join", of.String(), description, life.String(), string(to.Instance), to.Key}, to.Addresses...)
	if to.GatewayOf != "" {
		said = append(said, "of "+string(to.GatewayOf))
	}
	return strings.Join(said, "|"), nil
}

// bench is a namespace with a pod of web, and an attestor.
type bench struct {
	cluster   *kubetest.Cluster
	namespace string
	pod       *corev1.Pod
	mesh      meshOf
	log       bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{cluster: kubetest.Shared(t)}
	b.namespace = b.cluster.Namespace(t)
	b.pod = b.make(t, b.namespace, "web-1", "web")
	kept := &mesh.Service{Name: "web"}
	kept.Meta.Keeper = mesh.Keeper("kubernetes/prod/" + b.namespace + "/web")
	b.mesh.services = map[mesh.ServiceName]*mesh.Service{"web": kept}
	return b
}

func (b *bench) make(t *testing.T, namespace, name, service string) *corev1.Pod {
	t.Helper()
	made, err := b.cluster.Client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{inject.ServiceKey: service, inject.StatusKey: inject.Version}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Status.PodIP, made.Status.PodIPs = podAddress, []corev1.PodIP{{IP: podAddress}}
	if made, err = b.cluster.Client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return made
}

// podAddress is where the kubelet has put the pods.
const podAddress = "10.9.8.7"

// token is what the kubelet would put into the pod: bound to it.
func (b *bench) token(t *testing.T, pod *corev1.Pod, audience string) string {
	t.Helper()
	seconds := int64(3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, Audiences: []string{audience},
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}}}
	answer, err := b.cluster.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

func (b *bench) ask(t *testing.T, token, service, instance string) (int, string) {
	t.Helper()
	return b.send(t, token, `{"service":"`+service+`","instance":"`+instance+`"}`)
}

// running says which account runs whom.
var running = map[mesh.Identity]string{{Kind: mesh.GatewayIdentity, Name: "edge"}: "gateways", {Kind: mesh.AuthzIdentity}: "authz"}

func (b *bench) send(t *testing.T, token, body string) (int, string) {
	t.Helper()
	accounts := map[mesh.Identity][]Account{}
	for of, name := range running {
		accounts[of] = []Account{{b.namespace, name}}
	}
	return post(t, New(Config{Cluster: "prod", Accounts: accounts, Kubernetes: b.cluster.Client, Mesh: b.mesh, Logger: slog.New(slog.NewTextHandler(&b.log, nil))}), token, body)
}

func post(t *testing.T, handler http.Handler, token, body string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, Path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+token)
	handler.ServeHTTP(recorder, request)
	answer, err := io.ReadAll(recorder.Body)
	if err != nil || !json.Valid(answer) {
		t.Fatalf("%v: %s", err, answer)
	}
	return recorder.Code, string(answer)
}

func TestAttested(t *testing.T) {
	b := newBench(t)
	status, answer := b.ask(t, b.token(t, b.pod, "heddle"), "web", "web-1."+b.namespace+".prod")
	if status != http.StatusOK || !strings.Contains(answer, `{"joinToken":"join|service/web|pod `+b.namespace+`/web-1 of prod|1m0s|web-1.`+b.namespace+`.prod||`+podAddress+`"}`) {
		t.Errorf("%d %s", status, answer)
	}
	if strings.Contains(b.log.String(), "join|") || !strings.Contains(b.log.String(), "action=attested") {
		t.Errorf("the log: %s", &b.log)
	}
	accounts("other", "default")(t, b)
	if status, answer := b.ask(t, b.token(t, b.pod, "heddle"), "web", "web-1."+b.namespace+".prod"); status != http.StatusOK {
		t.Errorf("as a service account that is listed: %d %s", status, answer)
	}
	// A service that somebody else keeps, which admits the cluster and the namespace.
	b.mesh.services["web"] = &mesh.Service{Name: "web", Endpoints: mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: []string{"prod"}, Namespace: b.namespace}}}
	if status, answer := b.ask(t, b.token(t, b.pod, "heddle"), "web", "web-1."+b.namespace+".prod"); status != http.StatusOK {
		t.Errorf("by its endpoints: %d %s", status, answer)
	}
}

func TestRefused(t *testing.T) {
	b := newBench(t)
	instance := "web-1." + b.namespace + ".prod"
	for name, test := range map[string]struct {
		token             func(*testing.T) string
		service, instance string
		change            func(*testing.T, *bench)
		status            int
		says              string
	}{
		"another audience":    {token: func(t *testing.T) string { return b.token(t, b.pod, "vault") }, status: 401, says: `for audience \"heddle\"`},
		"the API server's":    {token: func(t *testing.T) string { return b.cluster.ServiceAccountToken(t, b.namespace, "default") }, status: 401},
		"not bound to a pod":  {token: func(t *testing.T) string { return b.cluster.ServiceAccountToken(t, b.namespace, "default", "heddle") }, status: 403, says: "not bound to a pod"},
		"made up":             {token: func(*testing.T) string { return "eyJhbGciOiJub25lIn0.e30." }, status: 401},
		"empty":               {token: func(*testing.T) string { return "" }, status: 401, says: "Authorization"},
		"huge":                {token: func(*testing.T) string { return strings.Repeat("x", 1<<20) }, status: 401, says: "Authorization"},
		"another service":     {service: "orders", status: 403, says: `belongs to service \"web\"`},
		"another instance":    {instance: "web-2." + b.namespace + ".prod", status: 403, says: "is instance"},
		"no service's name":   {service: "Not A Name", status: 400, says: "DNS label"},
		"undeclared":          {change: func(_ *testing.T, b *bench) { b.mesh.services = nil }, status: 403, says: "not declared"},
		"the mesh is away":    {change: func(_ *testing.T, b *bench) { b.mesh.down = errors.New("secret address refused") }, status: 503, says: "could not be asked"},
		"no right to join":    {change: func(_ *testing.T, b *bench) { b.mesh.refuses = mesh.Denied("no") }, status: 403, says: "--keeper kubernetes/prod"},
		"of another keeper":   {change: keptBy("kubernetes/prod/other/web"), status: 403, says: "has no pods in namespace"},
		"a longer namespace":  {change: keptBy("kubernetes/prod/" + mesh.Keeper(b.namespace) + "x/web"), status: 403},
		"of another cluster":  {change: keptBy("kubernetes/stage/" + mesh.Keeper(b.namespace) + "/web"), status: 403},
		"of nobody":           {change: keptBy(""), status: 403},
		"of another by slice": {change: admitting([]string{"prod"}, "other"), status: 403},
		"another account":     {change: accounts("orders", "web2"), status: 403, says: "is none of those that service"},
		"not this cluster":    {change: admitting([]string{"stage"}, b.namespace), status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			with := &bench{cluster: b.cluster, namespace: b.namespace, pod: b.pod, mesh: b.mesh}
			if test.change != nil {
				test.change(t, with)
			}
			token := b.token(t, b.pod, "heddle")
			if test.token != nil {
				token = test.token(t)
			}
			service, id := "web", instance
			if test.service != "" {
				service = test.service
			}
			if test.instance != "" {
				id = test.instance
			}
			status, answer := with.ask(t, token, service, id)
			if status != test.status || !strings.Contains(answer, test.says) || strings.Contains(answer, "joinToken") {
				t.Errorf("%d %s", status, answer)
			}
			if strings.Contains(answer, "secret address") {
				t.Errorf("the caller is told too much: %s", answer)
			}
			if status == 503 && !strings.Contains(with.log.String(), "secret address") {
				t.Errorf("the log is told too little: %s", &with.log)
			}
		})
	}
}

func keptBy(keeper mesh.Keeper) func(*testing.T, *bench) {
	return func(_ *testing.T, b *bench) {
		service := &mesh.Service{Name: "web"}
		service.Meta.Keeper = keeper
		b.mesh.services = map[mesh.ServiceName]*mesh.Service{"web": service}
	}
}

// accounts limits web, which is kept in the namespace, to service accounts there.
func accounts(names ...string) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		keptBy(mesh.Keeper("kubernetes/prod/"+b.namespace+"/web"))(t, b)
		b.mesh.services["web"].Endpoints.Kubernetes = &mesh.KubernetesEndpoints{Clusters: []string{"prod"}, Namespace: b.namespace, ServiceAccounts: names}
	}
}

func admitting(clusters []string, namespace string) func(*testing.T, *bench) {
	return func(_ *testing.T, b *bench) {
		b.mesh.services = map[mesh.ServiceName]*mesh.Service{"web": {Name: "web", Endpoints: mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: clusters, Namespace: namespace}}}}
	}
}

// A token outlives its pod by nothing: not one that is terminating, was deleted, or
// came back under its name.
func TestTokensOfPodsThatAreGone(t *testing.T) {
	b := newBench(t)
	kubelet := b.cluster.Kubelet(t, "node-"+b.namespace[len(b.namespace)-5:], nil)
	running := kubelet.RunPod(t, b.make(t, b.namespace, "web-2", "web"), "10.0.0.2")
	token, instance := b.token(t, running, "heddle"), "web-2."+b.namespace+".prod"
	if status, answer := b.ask(t, token, "web", instance); status != http.StatusOK {
		t.Fatalf("while it runs: %d %s", status, answer)
	}
	kubelet.Terminate(t, running)
	if status, answer := b.ask(t, token, "web", instance); status != http.StatusForbidden || !strings.Contains(answer, "is being deleted") {
		t.Errorf("while it terminates: %d %s", status, answer)
	}
	kubelet.Finish(t, running)
	kubetest.Eventually(t, "refuse the token of a pod that is gone", func() error {
		if status, _ := b.ask(t, token, "web", instance); status == http.StatusOK {
			return errors.New("attested")
		}
		return nil
	})
	again := b.make(t, b.namespace, "web-2", "web")
	if status, answer := b.ask(t, token, "web", instance); status == http.StatusOK {
		t.Errorf("another pod of its name: %d %s", status, answer)
	}
	if status, answer := b.ask(t, b.token(t, again, "heddle"), "web", instance); status != http.StatusOK {
		t.Errorf("and that pod's own: %d %s", status, answer)
	}
}

func TestPodThatWasNotInjected(t *testing.T) {
	b := newBench(t)
	b.pod.Annotations = nil
	if _, err := b.cluster.Client.CoreV1().Pods(b.namespace).Update(t.Context(), b.pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	status, answer := b.ask(t, b.token(t, b.pod, "heddle"), "web", "web-1."+b.namespace+".prod")
	if status != http.StatusForbidden || !strings.Contains(answer, "was not injected") {
		t.Errorf("%d %s", status, answer)
	}
}

func TestAPIServerAway(t *testing.T) {
	b := newBench(t)
	config := rest.CopyConfig(b.cluster.Config)
	config.Host = "https://127.0.0.1:1"
	away, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	attestor := New(Config{Cluster: "prod", Kubernetes: away, Mesh: b.mesh})
	status, answer := post(t, attestor, b.token(t, b.pod, "heddle"), `{"service":"web","instance":"x"}`)
	if status != http.StatusServiceUnavailable || strings.Contains(answer, "127.0.0.1") {
		t.Errorf("%d %s", status, answer)
	}
}

func TestHostileRequests(t *testing.T) {
	attestor := New(Config{Cluster: "prod"})
	for name, body := range map[string]string{
		"empty": "", "no JSON": "x", "a list": "[]", "another field": `{"service":"web","instance":"x","namespace":"kube-system"}`,
		"two": `{"service":"web","instance":"x"}{}`, "huge": `{"service":"` + strings.Repeat("x", 1<<20) + `"}`, "null": "null",
		"nobody": `{"instance":"x"}`, "a service and a gateway": `{"service":"web","gateway":"edge","instance":"x"}`, "no key": `{"service":"web","instance":"x","key":"abc"}`,
		"a gateway without an instance": `{"gateway":"edge"}`,
	} {
		if status, answer := post(t, attestor, "t", body); status != http.StatusBadRequest || len(answer) > 1000 {
			t.Errorf("%s: %d %.200s", name, status, answer)
		}
	}
	recorder := httptest.NewRecorder()
	attestor.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, Path, nil))
	if recorder.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", recorder.Code)
	}
}

// What heddle proxy shows of a refusal is the problem's detail.
func TestRefusalsAreProblems(t *testing.T) {
	recorder := httptest.NewRecorder()
	New(Config{Cluster: "prod"}).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, Path, strings.NewReader("{}")))
	var problem struct {
		Title, Detail string
		Status        int
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &problem); err != nil {
		t.Fatal(err)
	}
	if kind := recorder.Header().Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("content type %q", kind)
	}
	if problem.Title != "Unauthorized" || problem.Status != http.StatusUnauthorized || !strings.Contains(problem.Detail, "projected service account token") {
		t.Errorf("%+v", problem)
	}
}

// One address is told to wait, and another is not; all together are bounded too.
func TestRateLimit(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	attestor := New(Config{Cluster: "prod", Now: func() time.Time { return now }})
	ask := func(from string) int {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, Path, strings.NewReader("x"))
		request.RemoteAddr = from
		attestor.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for i := range addressBurst {
		if status := ask("10.0.0.1:1000"); status == http.StatusTooManyRequests {
			t.Fatalf("request %d is one too many", i)
		}
	}
	if status := ask("10.0.0.1:2000"); status != http.StatusTooManyRequests {
		t.Errorf("the same address by another port: %d", status)
	}
	if status := ask("10.0.0.2:1000"); status == http.StatusTooManyRequests {
		t.Errorf("another address: %d", status)
	}
	now = now.Add(2 * time.Second)
	if status := ask("10.0.0.1:1000"); status == http.StatusTooManyRequests {
		t.Errorf("two seconds later: %d", status)
	}
}
