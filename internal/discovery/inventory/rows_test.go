package inventory

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestAFieldThatIsNotKnownIsTold of its machine: it may be misspelled.
func TestAFieldThatIsNotKnownIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.json")
	if err := os.WriteFile(path, []byte(`{"made_by":"cmdb","vms":[{"name":"a","privateIP":"10.0.0.1","tag":{"heddle-service":"orders"},"owner":"me","scope":"x"},{"name":"b"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	vms, _, err := list(t, Config{File: path})
	if err != nil || len(vms) != 2 || vms[0].Scope != "" || len(vms[0].Faults) != 1 || len(vms[1].Faults) != 0 {
		t.Fatalf("%+v, %v", vms, err)
	}
	for _, want := range []string{`"privateIP" (private_ip?)`, `"tag" (tags?)`, `"owner"`} {
		if !strings.Contains(vms[0].Faults[0], want) {
			t.Errorf("%q does not say %s", vms[0].Faults[0], want)
		}
	}
}

// TestWhatAnotherMeshAnswersIsAnInventory: each field of GET /api/vms is known.
func TestWhatAnotherMeshAnswersIsAnInventory(t *testing.T) {
	for _, one := range reflect.VisibleFields(reflect.TypeFor[mesh.ListedVM]()) {
		if one.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(one.Tag.Get("json"), ",")
		if _, is := fields[name]; !is {
			t.Errorf("no field %q is known", name)
		}
	}
}
