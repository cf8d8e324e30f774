package gatewayapi_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubetest"
)

const servedGateways = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: served-ours}
spec: {controllerName: heddle.io/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: served-other}
spec: {controllerName: other.example/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ours, namespace: NS, finalizers: [test.example/wait]}
spec: {gatewayClassName: served-ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: NS}
spec: {gatewayClassName: served-other, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: classless, namespace: NS}
spec: {gatewayClassName: served-none, listeners: [{name: http, port: 80, protocol: HTTP}]}
`

// Pods join as the gateway of a Gateway only while it is there and ours: that is asked of the
// API server each time.
func TestWhichGatewaysAreServed(t *testing.T) {
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	served, err := gatewayapi.Served(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	is := func(when, in, name string, want bool) {
		t.Helper()
		if got, err := served(t.Context(), in, name); err != nil || got != want {
			t.Errorf("%s: %s/%s is served: %v, %v", when, in, name, got, err)
		}
	}
	is("before the Gateway API is installed", namespace, "ours", false)
	c.GatewayAPI(t)
	is("before it is there", namespace, "ours", false)
	c.Apply(t, strings.ReplaceAll(servedGateways, "NS", namespace))
	is("once it is there", namespace, "ours", true)
	is("elsewhere", "default", "ours", false)
	is("of another controller", namespace, "other", false)
	is("of no class", namespace, "classless", false)
	if out, err := c.Kubectl(t, "", "delete", "--wait=false", "-n", namespace, "gateway/ours"); err != nil {
		t.Fatal(out, err)
	}
	is("being deleted", namespace, "ours", false)
	if out, err := c.Kubectl(t, "", "patch", "-n", namespace, "gateway/ours", "--type=merge", "-p", `{"metadata": {"finalizers": null}}`); err != nil {
		t.Fatal(out, err)
	}
}
