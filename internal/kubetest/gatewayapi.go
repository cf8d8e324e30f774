package kubetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gatewayKinds are the kinds of the Gateway API's standard channel that Heddle knows.
var gatewayKinds = []string{"gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"}

// GatewayAPI installs the definitions of the Gateway API, of the version that the
// module under test is built with, until the test ends.
func (c *Cluster) GatewayAPI(t testing.TB) {
	t.Helper()
	found, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatalf("find the Gateway API's definitions: %v", err)
	}
	for _, kind := range gatewayKinds {
		body, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(found)), "config/crd/standard/gateway.networking.k8s.io_"+kind+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		c.Apply(t, string(body))
	}
	t.Cleanup(func() {
		arguments := []string{"delete", "customresourcedefinitions", "--wait"}
		for _, kind := range gatewayKinds {
			arguments = append(arguments, kind+".gateway.networking.k8s.io")
		}
		if _, err := c.Kubectl(t, "", arguments...); err != nil {
			t.Error(err)
		}
	})
}
