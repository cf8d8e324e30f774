package attest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A pod is the gateway of a Gateway of its own namespace by the service account that is that
// Gateway's, and of no other; what its label says is not believed.
func TestPodsOfAGateway(t *testing.T) {
	b := newBench(t)
	other := b.cluster.Namespace(t)
	web := map[string]string{GatewayLabel: "web"}
	own := b.runLabelled(t, b.namespace, GatewayAccount("web"), "edge-1", web, "10.1.1.1")
	unlabelled := b.runBy(t, b.namespace, "plain", "plain-1", "10.1.1.2")
	stranger := b.runLabelled(t, b.namespace, "stranger", "stranger-1", web, "10.1.1.3")
	elsewhere := b.runLabelled(t, other, GatewayAccount("web"), "web-2", web, "10.1.1.4")
	gone := b.runLabelled(t, b.namespace, GatewayAccount("gone"), "gone-1", map[string]string{GatewayLabel: "gone"}, "10.1.1.5")
	unsure := b.runLabelled(t, b.namespace, GatewayAccount("unsure"), "unsure-1", map[string]string{GatewayLabel: "unsure"}, "10.1.1.6")
	serves := func(_ context.Context, namespace, name string) (bool, error) {
		if name == "unsure" {
			return false, errors.New("away")
		}
		return name == "web" && namespace == b.namespace, nil
	}
	asks := func(pod, namespace, gatewayIn, gateway string) string {
		return fmt.Sprintf(`{"gateway":%q,"instance":"%s.%s.prod"}`, mesh.GatewayAPIGateway("prod", gatewayIn, gateway), pod, namespace)
	}
	handler := New(Config{Cluster: "prod", Kubernetes: b.cluster.Client, Mesh: b.mesh, Serves: serves})
	for name, test := range map[string]struct {
		token, body string
		status      int
		says        string
	}{
		"its own":                   {own, asks("edge-1", b.namespace, b.namespace, "web"), 200, "|of prod/" + b.namespace + "/web"},
		"another of the namespace":  {own, asks("edge-1", b.namespace, b.namespace, "other"), 403, "does not run gateway"},
		"one of another namespace":  {own, asks("edge-1", b.namespace, other, "web"), 403, "does not run gateway"},
		"one that is named by hand": {own, `{"gateway":"edge","instance":"edge-1.` + b.namespace + `.prod"}`, 403, "does not run gateway"},
		"without a label":           {unlabelled, asks("plain-1", b.namespace, b.namespace, "web"), 403, "does not run gateway"},
		"another service account":   {stranger, asks("stranger-1", b.namespace, b.namespace, "web"), 403, "but heddle-gateway-web does"},
		"the account elsewhere":     {elsewhere, asks("web-2", other, b.namespace, "web"), 403, "does not run gateway"},
		"no Gateway elsewhere":      {elsewhere, asks("web-2", other, other, "web"), 403, "there is no Gateway " + other + "/web"},
		"a Gateway that is gone":    {gone, asks("gone-1", b.namespace, b.namespace, "gone"), 403, "there is no Gateway"},
		"an API that is away":       {unsure, asks("unsure-1", b.namespace, b.namespace, "unsure"), 503, "could not be asked about Gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := post(t, handler, test.token, test.body)
			if status != test.status || !strings.Contains(answer, test.says) || status != http.StatusOK && strings.Contains(answer, "joinToken") {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	if status, answer := post(t, New(Config{Cluster: "prod", Kubernetes: b.cluster.Client, Mesh: b.mesh}), own, asks("edge-1", b.namespace, b.namespace, "web")); status != http.StatusForbidden {
		t.Errorf("where Gateways are vouched for by nobody: %d %s", status, answer)
	}
}

func TestTheServiceAccountOfAGateway(t *testing.T) {
	seen := map[string]bool{}
	for _, gateway := range []string{"web", "web.shop", "web-shop", strings.Repeat("a", 48), strings.Repeat("a", 49), strings.Repeat("a", 63)} {
		name := GatewayAccount(gateway)
		if seen[name] || !mesh.ServiceName(name).Valid() || !strings.HasPrefix(name, "heddle-gateway-") {
			t.Errorf("%s: %s", gateway, name)
		}
		seen[name] = true
	}
}
