package kubernetes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func upstream(namespace, name, address, port string) string {
	return fmt.Sprintf(`
apiVersion: heddle.io/v1alpha1
kind: Upstream
metadata: {name: %s, namespace: %s}
spec:
  owner: team-shop
  protocol: http
  port: 80
  dependencies: []
  endpoints: {static: [{address: %s, port: %s}]}
`, name, namespace, address, port)
}

// The way of an Upstream that is added, changed and deleted while a sidecar calls it.
func TestAnUpstreamIsAddedChangedAndDeleted(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	if _, err := w.api.PutService(t.Context(), mesh.Service{Name: "web", Owner: "x", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{"payments"}}); err != nil {
		t.Fatal(err)
	}
	envoy := w.sidecar("web")
	app(t, podAddress(1)+":9001", "one")
	app(t, podAddress(2)+":9001", "two")
	answers := func(want string) func() (bool, string) {
		return func() (bool, string) {
			status, body, err := envoy.call("payments")
			got := fmt.Sprint(status, " ", body, " ", err)
			return strings.HasPrefix(got, want), got
		}
	}
	awaits(t, "be undeclared", answers("503"))
	c.Apply(t, upstream(namespace, "payments", podAddress(1), "9001"))
	awaits(t, "be called", answers("200 one"))
	if out, err := c.Kubectl(t, "", "wait", "-n", namespace, "--for=condition=Accepted", "--for=condition=Programmed", "--timeout=30s", "upstream/payments"); err != nil {
		t.Fatal(out, err)
	}
	awaits(t, "say who has it", func() (bool, string) {
		out, err := c.Kubectl(t, "", "get", "-n", namespace, "upstreams")
		return strings.Contains(out, "True") && strings.Contains(out, "1/1"), fmt.Sprint(out, err)
	})
	stored, err := w.api.Service(t.Context(), "payments")
	if err != nil || stored.Meta.Keeper != mesh.Keeper("kubernetes/prod/"+namespace+"/payments") || stored.Meta.Source != "kubernetes" {
		t.Errorf("kept by %q, written by way of %q: %v", stored.Meta.Keeper, stored.Meta.Source, err)
	}
	c.Apply(t, upstream(namespace, "payments", podAddress(2), "9001"))
	awaits(t, "be called at its new address", answers("200 two"))

	if out, err := c.Kubectl(t, "", "delete", "-n", namespace, "upstream", "payments"); err != nil {
		t.Fatal(out, err)
	}
	awaits(t, "be gone", answers("503"))
	if _, err := w.api.Service(t.Context(), "payments"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("it is in the registry yet: %v", err)
	}
}

// An Upstream does not lead back into the gateways and sidecars that call it, where
// Envoy's administration listens, nor to what clouds tell their machines alone.
func TestAnUpstreamIsNotTheProxysOwnHost(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	c.Apply(t, upstream(namespace, "own-host", podAddress(1), "9001"))
	w.awaitCondition(namespace, "upstream/own-host", "Accepted", "True")
	for _, address := range []string{"127.0.0.1", `"::1"`, `"::ffff:127.0.0.1"`, "169.254.169.254"} {
		c.Apply(t, upstream(namespace, "own-host", address, "15000"))
		w.awaitCondition(namespace, "upstream/own-host", "Accepted", "False NotPermitted: spec.endpoints.static[0].address: \""+strings.Trim(address, `"`)+"\"")
		if _, err := w.api.Service(t.Context(), "own-host"); mesh.KindOf(err) != mesh.KindNotFound {
			t.Errorf("%s is in the registry: %v", address, err)
		}
	}
}
