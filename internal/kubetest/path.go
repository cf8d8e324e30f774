package kubetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/heddle-mesh/heddle/internal/treetest"
)

// names of the programs that a cluster needs.
var names = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubectl"}

// programs are the files of the programs by their names.
type programs map[string]string

// find is look for a test, which it skips without one of the programs.
func find(t testing.TB, names ...string) programs {
	t.Helper()
	found, lacks, err := look(names...)
	switch {
	case err != nil:
		t.Fatal(err)
	case lacks != "":
		t.Skipf("no Kubernetes (%s): run hack/kube.sh", lacks)
	}
	return found
}

// look finds each program in KUBEBUILDER_ASSETS, or where hack/kube.sh puts it in .tools
// of this repository, or says which one is lacking.
func look(names ...string) (found programs, lacks string, err error) {
	root, err := treetest.Root()
	if err != nil {
		return nil, "", fmt.Errorf("look for Kubernetes: %w", err)
	}
	folders := []string{filepath.Join(root, ".tools", "kube")}
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		folders = append([]string{assets}, folders...)
	}
	found = programs{}
	for _, name := range names {
		for _, folder := range folders {
			if file, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
				found[name] = file
				break
			}
		}
		if found[name] == "" {
			return nil, name, nil
		}
	}
	return found, "", nil
}

// Program is where one of the cluster's programs is, such as etcd.
func (c *Cluster) Program(name string) string { return c.programs[name] }

// Program is where one of a cluster's programs is, for a test of its own; without it the
// test is skipped.
func Program(t testing.TB, name string) string {
	t.Helper()
	return find(t, name)[name]
}
