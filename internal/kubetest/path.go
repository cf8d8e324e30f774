package kubetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// names of the programs that a cluster needs.
var names = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubectl"}

// programs are the files of the programs by their names.
type programs map[string]string

// find looks for each program in KUBEBUILDER_ASSETS, then where hack/kube.sh
// puts it in .tools of this repository. Without one of them it skips the test.
func find(t testing.TB, names ...string) programs {
	t.Helper()
	root, err := repositoryRoot()
	if err != nil {
		t.Fatalf("look for Kubernetes: %v", err)
	}
	folders := []string{filepath.Join(root, ".tools", "kube")}
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		folders = append([]string{assets}, folders...)
	}
	found := programs{}
	for _, name := range names {
		for _, folder := range folders {
			if file, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
				found[name] = file
				break
			}
		}
		if found[name] == "" {
			t.Skipf("no Kubernetes (%s): run hack/kube.sh", name)
		}
	}
	return found
}

// Program is where one of the cluster's programs is, such as etcd.
func (c *Cluster) Program(name string) string { return c.programs[name] }

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
