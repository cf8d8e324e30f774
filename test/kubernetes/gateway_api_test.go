package kubernetes_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const gatewayObjects = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: heddle-NS}
spec: {controllerName: heddle.io/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NS}
spec:
  gatewayClassName: heddle-NS
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: NS, labels: {gateway.networking.k8s.io/gateway-name: edge}}
spec: {ports: [{port: 80}], externalIPs: [ADDRESS]}
`

const webService = `
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NS}
spec: {selector: {app: NAME}, ports: [{port: 8080, targetPort: 9200}]}
`

const webRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: NS}
spec:
  parentRefs: [{name: edge, namespace: GATEWAY}]
  hostnames: [shop.test]
  rules: [{matches: [{path: {value: PATH}}], backendRefs: [{name: NAME, port: 8080}]}]
`

func filled(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// edge is a real Envoy that serves a Gateway.
func (w *world) edge(at types.NamespacedName, address string, flags ...string) {
	w.t.Helper()
	name := string(gatewayapi.GatewayName(w.name, at))
	proxy := start(w.t, append([]string{"proxy", "--gateway", name, "--instance", "edge-1", "--listen-address", address, "--http-port", "80",
		"--server", w.server.said["rest"], "--xds", w.server.said["xds"], "--drain-timeout", "1s"}, flags...)...)
	kubetest.Eventually(w.t, "serve "+name, func() error { _, err := os.Stat(proxy.Ready); return err })
}

// ask makes a request to an address, with a host of its own.
func ask(address, host, path string) string {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err.Error()
	}
	request.Host = host
	return answered(client.Do(request))
}

func answered(answer *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(answer.StatusCode, " ", string(body))
}

func (w *world) awaitAnswer(address, host, path, want string) {
	w.t.Helper()
	awaits(w.t, "answer "+path+" of "+host+" with "+want, func() (bool, string) {
		got := ask(address, host, path)
		return strings.HasPrefix(got, want), got
	})
}

// The way of an HTTPRoute from kubectl to a request, by an operator that has the rights
// of the manifests and nothing else, and ran before the Gateway API was installed.
func TestTheGatewayAPIIsServed(t *testing.T) {
	c := cluster(t)
	w := &world{t: t, cluster: c, name: "prod"}
	w.serve()
	own, infra, shop := c.Namespace(t), c.Namespace(t), c.Namespace(t)
	w.operator = start(t, "operator", "--server", w.server.said["rest"], "--token-file", w.token, "--cluster", w.name+"="+rights(t, c, own),
		"--http-listen", "127.0.0.1:0", "--namespace", own)
	w.operator.awaitReady()
	awaits(t, "say that there is no Gateway API", func() (bool, string) {
		return strings.Contains(w.operator.Log.String(), "does not have the Gateway API"), w.operator.Log.String()
	})
	c.GatewayAPI(t)

	address := podAddress(20)
	c.Apply(t, filled(gatewayObjects, "NS", infra, "ADDRESS", address))
	kubelet := c.Kubelet(t, "node-"+shop, nil)
	for n, name := range []string{"one", "two"} {
		c.Apply(t, filled(webService, "NS", shop, "NAME", name))
		at := podAddress(21 + n)
		app(t, at+":9200", name)
		kubelet.RunPod(t, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name, Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none"}}},
		}, at)
	}
	c.Apply(t, filled(webRoute, "NS", shop, "GATEWAY", infra, "PATH", "/", "NAME", "one"))
	for _, wait := range [][]string{
		{infra, "--for=condition=Programmed", "gateway/edge"},
		{infra, "--for=jsonpath={.status.listeners[0].attachedRoutes}=1", "gateway/edge"},
		{infra, "--for=jsonpath={.status.addresses[0].value}=" + address, "gateway/edge"},
		{shop, `--for=jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}=True`, "httproute/web"},
		{shop, `--for=jsonpath={.status.parents[0].conditions[?(@.type=="ResolvedRefs")].status}=True`, "httproute/web"},
	} {
		if out, err := c.Kubectl(t, "", "wait", "--timeout=30s", "-n", wait[0], wait[1], wait[2]); err != nil {
			t.Fatal(out, err, w.operator.Log.String())
		}
	}
	w.edge(types.NamespacedName{Namespace: infra, Name: "edge"}, address)
	w.awaitAnswer(address, "shop.test", "/", "200 one")
	w.awaitAnswer(address, "other.test", "/", "404")

	c.Apply(t, filled(webRoute, "NS", shop, "GATEWAY", infra, "PATH", "/new", "NAME", "two"))
	w.awaitAnswer(address, "shop.test", "/new", "200 two")
	w.awaitAnswer(address, "shop.test", "/", "404")

	// What follows from it in the registry is nobody else's to change, and comes back.
	routes, err := w.api.Routes(t.Context())
	if err != nil || len(routes) != 1 {
		t.Fatalf("%d routes: %v", len(routes), err)
	}
	if err := w.api.DeleteRoute(t.Context(), routes[0].Name, 0); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("somebody else deleted it: %v", err)
	}
	if err := w.api.KeptBy(routes[0].Meta.Keeper).DeleteRoute(t.Context(), routes[0].Name, 0); err != nil {
		t.Fatal(err)
	}
	awaits(t, "write again what was deleted behind its back", func() (bool, string) {
		routes, err := w.api.Routes(t.Context())
		return err == nil && len(routes) == 1, fmt.Sprint(len(routes), " routes ", err)
	})
	w.awaitAnswer(address, "shop.test", "/new", "200 two")

	metrics, err := http.Get(w.operator.said["http"] + "/metrics")
	if got := answered(metrics, err); !strings.Contains(got, `heddle_operator_gateway_api_objects{cluster="prod",kind="HTTPRoute",state="accepted"} 1`) {
		t.Errorf("the metrics (%d bytes) do not have the route", len(got))
	}

	secretsAreReadWhereItIsAllowed(t, c, own, infra)

	if out, err := c.Kubectl(t, "", "delete", "-n", shop, "httproute", "web"); err != nil {
		t.Fatal(out, err)
	}
	w.awaitAnswer(address, "shop.test", "/new", "404")
	awaits(t, "leave nothing", func() (bool, string) {
		routes, err := w.api.Routes(t.Context())
		services, also := w.api.Services(t.Context())
		return err == nil && also == nil && len(routes)+len(services) == 0, fmt.Sprint(len(routes), len(services), err, also)
	})
}

const secureGateway = `
apiVersion: v1
kind: Secret
metadata: {name: secure, namespace: NS}
type: kubernetes.io/tls
stringData: {tls.crt: none, tls.key: none}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: secure, namespace: NS}
spec:
  gatewayClassName: heddle-NS
  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: secure}]}}]
`

// secretsAreReadWhereItIsAllowed says so in the listener's condition, where it is not.
func secretsAreReadWhereItIsAllowed(t *testing.T, c *kubetest.Cluster, own, namespace string) {
	t.Helper()
	says := func(want string) {
		t.Helper()
		awaits(t, "say of the Secret: "+want, func() (bool, string) {
			out, err := c.Kubectl(t, "", "get", "-n", namespace, "gateway/secure", "-o", `jsonpath={.status.listeners[0].conditions[?(@.type=="ResolvedRefs")].message}`)
			return strings.Contains(out, want), fmt.Sprint(out, err)
		})
	}
	c.Apply(t, filled(secureGateway, "NS", namespace))
	says("the operator may not read it: bind it to the ClusterRole heddle-gateway-secrets in namespace " + namespace)
	for _, line := range [][]string{
		{"create", "rolebinding", "heddle-gateway-secrets", "-n", namespace, "--clusterrole=heddle-gateway-secrets", "--serviceaccount=" + own + ":heddle-operator"},
		{"annotate", "-n", namespace, "gateway/secure", "look=again"}, // it would within a minute
	} {
		if out, err := c.Kubectl(t, "", line...); err != nil {
			t.Fatal(out, err)
		}
	}
	says("are no certificate and its key")
}
