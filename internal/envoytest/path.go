package envoytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/heddle-mesh/heddle/internal/treetest"
)

// Path finds Envoy: HEDDLE_ENVOY, else envoy on PATH, else the one that
// hack/envoy.sh puts into .tools of this repository. Without any it skips the
// test; a HEDDLE_ENVOY that cannot be run is a failure, for someone meant it.
func Path(t testing.TB) string {
	t.Helper()
	if asked := os.Getenv("HEDDLE_ENVOY"); asked != "" {
		found, err := exec.LookPath(asked)
		if err != nil {
			t.Fatalf("HEDDLE_ENVOY: %v", err)
		}
		return found
	}
	if found, err := exec.LookPath("envoy"); err == nil {
		return found
	}
	root, err := treetest.Root()
	if err != nil {
		t.Fatalf("look for Envoy: %v", err)
	}
	found, err := exec.LookPath(filepath.Join(root, ".tools", "envoy", "envoy"))
	if err != nil {
		t.Skip("no Envoy: run hack/envoy.sh")
	}
	return found
}
