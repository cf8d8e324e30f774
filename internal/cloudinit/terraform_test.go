package cloudinit_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/cloudinit"
	"github.com/heddle-mesh/heddle/internal/terraformtest"
)

// templates writes those of all roles to a folder, with an output for each of the sorts.
func templates(t *testing.T) (folder string, values map[string]any) {
	t.Helper()
	folder = t.TempDir()
	main, all := "variable \"values\" { type = map(map(string)) }\n", map[string]map[string]string{}
	for number, sort := range sorts {
		at := fmt.Sprintf("%d", number)
		all[at] = of(sort.role, machine(sort.change))
		if err := os.WriteFile(filepath.Join(folder, at+".tftpl"), []byte(cloudinit.Template(sort.role)), 0o600); err != nil {
			t.Fatal(err)
		}
		main += fmt.Sprintf("output \"of_%s\" { value = templatefile(\"${path.module}/%s.tftpl\", var.values[%q]) }\n", at, at, at)
	}
	if err := os.WriteFile(filepath.Join(folder, "main.tf"), []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, map[string]any{"values": all}
}

// Terraform's own templatefile gives, byte for byte, what ours of the other tests gives.
func TestTerraformRendersTheTemplatesSo(t *testing.T) {
	folder, values := templates(t)
	rendered := terraformtest.Outputs(t, folder, values)
	for number, sort := range sorts {
		want, err := templatefile(cloudinit.Template(sort.role), of(sort.role, machine(sort.change)))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := json.Unmarshal(rendered[fmt.Sprintf("of_%d", number)], &got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: Terraform renders\n%s\nours\n%s", sort.name, got, want)
		}
	}
}

// What ends the line or the quotes that it stands in is refused by Terraform itself.
func TestTerraformRefusesWhatTheTemplatesDo(t *testing.T) {
	folder, values := templates(t)
	all := values["values"].(map[string]map[string]string) //nolint:forcetypeassert // made above
	for _, bad := range []string{"heddle_url", "listen_address", "server_flags", "identity_client_id"} {
		changed := maps.Clone(all)
		changed["0"] = maps.Clone(all["0"])
		changed["0"][bad] += "'\nUser=root"
		said, err := terraformtest.Apply(t, folder, map[string]any{"values": changed})
		if err == nil || !strings.Contains(strings.Join(strings.Fields(said), " "), "pattern did not match any part") {
			t.Errorf("%s: %v\n%s", bad, err, said)
		}
	}
}
