package kubetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
	t.Cleanup(func() { c.withoutGatewayAPI(t) })
}

// nudge is how often definitions that stay are changed, for the API server to look at them
// again: one that is deleted just when its storage is made anew waits longer and longer.
const nudge = 5 * time.Second

// withoutGatewayAPI takes the definitions away, and says in which state one is that stays.
func (c *Cluster) withoutGatewayAPI(t testing.TB) {
	names := make([]string, 0, len(gatewayKinds))
	for _, kind := range gatewayKinds {
		names = append(names, kind+".gateway.networking.k8s.io")
	}
	asked := func(verb string, flags ...string) (string, error) {
		return c.Kubectl(t, "", slices.Concat([]string{verb, "customresourcedefinitions", "--ignore-not-found"}, flags, names)...)
	}
	if _, err := asked("delete", "--wait=false"); err != nil {
		t.Error(err)
		return
	}
	nudged := time.Now()
	for deadline := nudged.Add(startTimeout); ; time.Sleep(100 * time.Millisecond) {
		left, err := asked("get", "--output=jsonpath={range .items[*]}{.metadata.name} {.status.conditions}{'\\n'}{end}")
		if err == nil && strings.TrimSpace(left) == "" {
			return
		}
		if time.Since(nudged) > nudge {
			nudged = time.Now()
			mark := "tests.heddle.io/looked-at=" + nudged.Format("150405")
			_, _ = c.Kubectl(t, "", slices.Concat([]string{"annotate", "--overwrite", "customresourcedefinitions"}, names, []string{mark})...) // one that is gone by now is no fault
		}
		if time.Now().After(deadline) {
			t.Errorf("definitions that were deleted are still there: %s %v", left, err)
			return
		}
	}
}
