// Package terraformtest runs the real Terraform in tests, on what takes no provider:
// templates, and what modules make of their inputs.
package terraformtest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/heddle-mesh/heddle/internal/treetest"
)

// Path is where Terraform is: where hack/terraform.sh puts it, or on PATH. Without one the
// test is skipped, which says so.
func Path(t testing.TB) string {
	t.Helper()
	root, err := treetest.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{filepath.Join(root, ".tools", "terraform", "terraform"), "terraform"} {
		if found, err := exec.LookPath(program); err == nil {
			return found
		}
	}
	t.Skip("no Terraform: run hack/terraform.sh")
	return ""
}

// Outputs applies a folder that has no resources, with values for its variables, and gives
// its outputs as JSON.
func Outputs(t testing.TB, folder string, values map[string]any) map[string]json.RawMessage {
	t.Helper()
	if said, err := Apply(t, folder, values); err != nil {
		t.Fatalf("terraform apply: %v\n%s", err, said)
	}
	text, said, err := run(t, folder, "output", "-json")
	if err != nil {
		t.Fatalf("terraform output: %v\n%s", err, said)
	}
	var outputs map[string]struct{ Value json.RawMessage }
	if err := json.Unmarshal(text, &outputs); err != nil {
		t.Fatal(err)
	}
	out := map[string]json.RawMessage{}
	for name, one := range outputs {
		out[name] = one.Value
	}
	return out
}

// Apply is the same for a folder that may be refused, and gives what Terraform says of it.
func Apply(t testing.TB, folder string, values map[string]any) (said string, err error) {
	t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "terraform.tfvars.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, said, err = run(t, folder, "apply", "-auto-approve", "-input=false", "-no-color")
	return said, err
}

func run(t testing.TB, folder string, arguments ...string) (out []byte, said string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), Path(t), arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE=", "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1") // it asks nobody for its newest version
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err = command.Output()
	return out, complaints.String(), err
}
