package proxy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func validateWithEnvoy(t *testing.T, bootstrap []byte) {
	t.Helper()
	envoy := os.Getenv("HEDDLE_ENVOY")
	if envoy == "" {
		t.Skip("no Envoy: run hack/envoy.sh")
	}
	file := filepath.Join(t.TempDir(), "b.json")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(envoy, "--mode", "validate", "-c", file, "-l", "warning").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "[warning]") {
		t.Errorf("Envoy warns:\n%s", out)
	}
}
