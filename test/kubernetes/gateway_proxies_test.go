package kubernetes_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	manifests "github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// webGateway has a listener of each scheme.
const webGateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: heddle-NS}
spec: {controllerName: heddle.io/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: NS}
spec:
  gatewayClassName: heddle-NS
  infrastructure: {labels: {cost: shop}, annotations: {balancer.example/internal: "true"}}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
`

// gatewayWorld is an installation as far as a cluster without hosts can: a Deployment of the
// operator that says how the one beside the cluster runs.
type gatewayWorld struct {
	*world
	host      *host
	kubelet   *kubetest.Kubelet
	own, shop string
}

func newGatewayWorld(t *testing.T) *gatewayWorld {
	t.Helper()
	c := cluster(t)
	g := &gatewayWorld{host: newHost(t, c), own: c.Namespace(t), shop: c.Namespace(t)}
	c.GatewayAPI(t)
	g.kubelet = c.Kubelet(t, "host-"+g.own[len(g.own)-5:], nil)
	g.world = joinStrictly(t, c, g.own)
	awaits(t, "follow the Gateway API", func() (bool, string) {
		return strings.Contains(g.operator.Log.String(), "the cluster has the Gateway API"), g.operator.Log.String()
	})
	for _, component := range manifests.Objects(manifests.Options{Namespace: g.own, Cluster: g.name, Image: "heddle:test"}) {
		for _, object := range component.Objects {
			if deployment, is := object.(*appsv1.Deployment); is && deployment.Name == manifests.Operator {
				deployment.Spec.Replicas = new(int32(0))
				container := &deployment.Spec.Template.Spec.Containers[0]
				container.Args = slices.DeleteFunc(container.Args, func(one string) bool { return strings.HasPrefix(one, "--pod-xds=") })
				for _, one := range []string{"--pod-server", "--pod-xds", "--attest-url"} {
					at := slices.Index(g.operator.Arguments, one)
					container.Args = append(container.Args, one+"="+g.operator.Arguments[at+1])
				}
				g.apply(deployment)
			}
		}
	}
	return g
}

func (g *gatewayWorld) apply(objects ...runtime.Object) {
	g.t.Helper()
	text, err := manifests.YAML(objects)
	if err != nil {
		g.t.Fatal(err)
	}
	g.cluster.Apply(g.t, string(text))
}

// print is heddle operator gateway: what it prints, and what it says beside that.
func (g *gatewayWorld) print(arguments ...string) (text, notes string, err error) {
	g.t.Helper()
	path := heddle.Path(g.t)
	command := exec.Command(path, slices.Concat([]string{"operator", "gateway"}, arguments, []string{"--kubeconfig", g.cluster.Kubeconfig, "--heddle-namespace", g.own})...)
	var out, faults bytes.Buffer
	command.Stdout, command.Stderr = &out, &faults
	err = command.Run()
	return out.String(), faults.String(), err
}

// pod awaits the pod of a Gateway's Deployment.
func (g *gatewayWorld) pod(gateway string) (found *corev1.Pod) {
	g.t.Helper()
	kubetest.Eventually(g.t, "have a pod of "+gateway, func() error {
		list, err := g.cluster.Client.CoreV1().Pods(g.shop).List(g.t.Context(), metav1.ListOptions{LabelSelector: "gateway.networking.k8s.io/gateway-name=" + gateway})
		if err != nil || len(list.Items) == 0 {
			return errors.Join(err, errors.New("none"))
		}
		found = &list.Items[0]
		return nil
	})
	return found
}

// starts runs what the API server has stored of a pod.
func (g *gatewayWorld) starts(pod *corev1.Pod) *space {
	g.t.Helper()
	s := g.host.space()
	g.host.volumes(s, pod)
	pod = g.kubelet.RunPod(g.t, pod, s.address)
	s.background(s.container(pod, pod.Spec.Containers[0]))
	return s
}

// listenerSays awaits what a listener's condition says.
func (g *gatewayWorld) listenerSays(index int, condition, want string) {
	g.t.Helper()
	awaits(g.t, fmt.Sprintf("say of listener %d: %s %s", index, condition, want), func() (bool, string) {
		path := fmt.Sprintf(`jsonpath={.status.listeners[%d].conditions[?(@.type=="%s")]}`, index, condition)
		out, err := g.cluster.Kubectl(g.t, "", "get", "-n", g.shop, "gateway/web", "-o", path)
		return strings.Contains(out, want), fmt.Sprint(out, err)
	})
}

// One command, and a Gateway answers: its proxies join by their own service account, with an
// operator that was told of no gateway and whose token vouches for none by name.
func TestTheProxiesOfAGatewayAreOneCommand(t *testing.T) {
	g := newGatewayWorld(t)
	c := g.cluster
	files := pair(t, hostAddress)
	if _, err := c.Client.CoreV1().Secrets(g.shop).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": files["tls.crt"], "tls.key": files["tls.key"]},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g.allowSecrets()
	c.Apply(t, filled(webGateway, "NS", g.shop))
	c.Apply(t, filled(webService, "NS", g.shop, "NAME", "one"))
	app(t, podAddress(24)+":9200", "one")
	g.kubelet.RunPod(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: g.shop, Name: "one", Labels: map[string]string{"app": "one"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none"}}},
	}, podAddress(24))
	c.Apply(t, strings.ReplaceAll(filled(webRoute, "NS", g.shop, "GATEWAY", g.shop, "PATH", "/", "NAME", "one"), "name: edge", "name: web"))

	text, notes, err := g.print("web", "--namespace", g.shop, "--replicas", "1", "--service-type", "ClusterIP")
	if err != nil || notes != "" {
		t.Fatal(err, notes)
	}
	if out, err := c.Kubectl(t, text, "apply", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	if out, err := c.Kubectl(t, text, "apply", "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	pod := g.pod("web")
	s := g.starts(pod)
	s.awaits("gateway", pod.Spec.Containers[0].ReadinessProbe)
	if got, want := s.id(), "spiffe://heddle.local/gateway/"+string(mesh.GatewayAPIGateway(g.name, g.shop, "web")); got != want {
		t.Errorf("it is %s, not %s", got, want)
	}
	g.awaitAnswer(s.address+":8080", "shop.test", "/", "200 one")
	g.awaitAnswer(s.address+":8080", "other.test", "/", "404")
	if got := overTLS(t, s.address+":8443", files["tls.crt"]); got != "200 one" {
		t.Errorf("over TLS: %s", got)
	}
	for i := range 2 {
		g.listenerSays(i, "Programmed", `"status":"True"`)
	}
	g.impostors(pod)

	// A listener that is there later is not served, and its condition says what to do.
	if out, err := c.Kubectl(t, "", "patch", "-n", g.shop, "gateway/web", "--type=json", "-p",
		`[{"op": "add", "path": "/spec/listeners/1/tls/certificateRefs/-", "value": {"name": "other"}}, {"op": "replace", "path": "/spec/listeners/0/port", "value": 8000}]`); err != nil {
		t.Fatal(out, err)
	}
	g.listenerSays(0, "Programmed", "made without port 8000: run heddle operator gateway web --namespace "+g.shop+" again")
	text, notes, err = g.print("web", "--namespace", g.shop, "--service-type", "ClusterIP")
	if err != nil || !strings.Contains(notes, `Secret `+g.shop+`/other of listener "https" is not there: the pods wait for it`) {
		t.Fatal(err, notes)
	}
	if out, err := c.Kubectl(t, text, "apply", "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	g.listenerSays(0, "Programmed", `"status":"True"`)

	// With the Gateway all that was made for it goes.
	if out, err := c.Kubectl(t, "", "delete", "-n", g.shop, "gateway/web"); err != nil {
		t.Fatal(out, err)
	}
	awaits(t, "be deleted with it", func() (bool, string) {
		out, err := c.Kubectl(t, "", "get", "-n", g.shop, "deployment,service,serviceaccount,configmap,poddisruptionbudget,networkpolicy", "-l", "gateway.networking.k8s.io/gateway-name=web", "-o", "name")
		return err == nil && out == "", fmt.Sprint(out, err)
	})
}

// allowSecrets lets the operator look at the namespace's.
func (g *gatewayWorld) allowSecrets() {
	g.t.Helper()
	if out, err := g.cluster.Kubectl(g.t, "", "create", "rolebinding", "heddle-gateway-secrets", "-n", g.shop, "--clusterrole=heddle-gateway-secrets", "--serviceaccount="+g.own+":heddle-operator"); err != nil {
		g.t.Fatal(out, err)
	}
}

// overTLS asks with the certificate that is to be shown.
func overTLS(t *testing.T, address string, certificate []byte) string {
	t.Helper()
	block, _ := pem.Decode(certificate)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // it is compared
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("another certificate")
			}
			return nil
		},
	}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "shop.test"
	return answered(client.Do(request))
}

// impostors are pods of the namespace that would be the Gateway too: as another service account,
// and as its own of a Gateway that is not there.
func (g *gatewayWorld) impostors(pod *corev1.Pod) {
	g.t.Helper()
	for name, change := range map[string]struct {
		of   func(*corev1.Pod)
		says string
	}{
		"another-account": {func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" }, "service account " + g.shop + "/default does not run Gateway " + g.shop + "/web, but heddle-gateway-web does"},
		"another-label":   {func(p *corev1.Pod) { p.Labels["gateway.networking.k8s.io/gateway-name"] = "other" }, "service account " + g.shop + "/heddle-gateway-web does not run gateway"},
		"another-gateway": {func(p *corev1.Pod) {
			p.Labels["gateway.networking.k8s.io/gateway-name"] = "none"
			p.Spec.ServiceAccountName = "heddle-gateway-none"
			for i, one := range p.Spec.Containers[0].Args {
				if strings.HasPrefix(one, "--gateway=") {
					p.Spec.Containers[0].Args[i] = "--gateway=" + string(mesh.GatewayAPIGateway(g.name, g.shop, "none"))
				}
			}
		}, "there is no Gateway " + g.shop + "/none"},
	} {
		other := pod.DeepCopy()
		other.ObjectMeta = metav1.ObjectMeta{Name: name, Namespace: g.shop, Labels: map[string]string{"gateway.networking.k8s.io/gateway-name": "web"}}
		other.Spec.NodeName = ""
		change.of(other)
		if account := other.Spec.ServiceAccountName; account == "heddle-gateway-none" {
			if _, err := g.cluster.Client.CoreV1().ServiceAccounts(g.shop).Create(g.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}); err != nil {
				g.t.Fatal(err)
			}
		}
		made, err := g.cluster.Client.CoreV1().Pods(g.shop).Create(g.t.Context(), other, metav1.CreateOptions{})
		if err != nil {
			g.t.Fatal(err)
		}
		s := g.starts(made)
		kubetest.Eventually(g.t, "refuse "+name, func() error {
			if !strings.Contains(s.log.String(), change.says) {
				return errors.New(s.log.String())
			}
			return nil
		})
	}
}
