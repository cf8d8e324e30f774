package crd_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/heddle-mesh/heddle/internal/kubernetes/crd"
)

var update = flag.Bool("update", false, "write api/crds anew")

func TestEachDefinitionIsUpToDate(t *testing.T) {
	for _, one := range crd.All() {
		want, err := crd.YAML(one)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("../../../api/crds", one.Spec.Names.Plural+".yaml")
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not up to date: run make generate (%v)", file, err)
		}
	}
}
