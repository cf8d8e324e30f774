package envoytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
	root, err := repositoryRoot()
	if err != nil {
		t.Fatalf("look for Envoy: %v", err)
	}
	found, err := exec.LookPath(filepath.Join(root, ".tools", "envoy", "envoy"))
	if err != nil {
		t.Skip("no Envoy: run hack/envoy.sh")
	}
	return found
}

// repositoryRoot is the first folder with a go.mod, from the test's own upwards.
func repositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("no go.mod in %s or above it", start)
		}
	}
}
