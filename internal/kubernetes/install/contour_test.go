package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// The overlay for Contour with Cloudflare Access is complete: the real API server takes
// each object, strictly, by the definitions of Contour and cert-manager.
func TestContourOverlay(t *testing.T) {
	definitions, err := os.ReadFile("../../../.tools/contour/crds.yaml")
	if err != nil {
		t.Skip("no definitions of Contour's custom resources: run hack/contour.sh")
	}
	cluster := kubetest.Shared(t)
	cluster.Apply(t, string(definitions))
	own, err := YAML(customResources())
	if err != nil {
		t.Fatal(err)
	}
	cluster.Apply(t, string(own))
	for _, namespace := range []string{"heddle-system", "heddle", "projectcontour", "shop"} {
		cluster.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+", labels: {pod-security.kubernetes.io/warn: restricted}}}")
	}
	built, err := cluster.Kubectl(t, "", "kustomize", filepath.Join(deploy, "kubernetes/overlays/contour-cloudflare"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(t, built, taken...); err != nil {
		t.Error(err)
	}
	if strings.Contains(built, "name: "+Gateway+"\n  namespace: heddle-system") {
		t.Error("there is Heddle's own gateway beside Contour")
	}
	for wrong, right := range map[string]string{"extensionReference:": "extensionRef:", "dnsNamen:": "dnsNames:", "responseTimeouts:": "responseTimeout:"} {
		if _, err := cluster.Kubectl(t, strings.Replace(built, right, wrong, 1), taken...); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(wrong, ":")) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
