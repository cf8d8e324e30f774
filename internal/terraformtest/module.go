package terraformtest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/heddle-mesh/heddle/internal/treetest"
)

// cloudInit is what the modules call what they give their machines as custom data.
const cloudInit = "cloud_init"

// Module is what one of the modules below deploy/terraform/azure makes of its inputs where
// there is no Azure.
type Module struct {
	CustomData map[string]string          // by the machines' numbers; a scale set's by ""
	Outputs    map[string]json.RawMessage // those that were asked for
}

// Render has Terraform evaluate the variables and locals of a module, as they are, and some
// of its outputs. There are no resources: what Azure would give of them is in azure, such
// as {"azurerm_key_vault": {"vault_uri": "https://mesh.vault.azure.net/"}}.
func Render(t testing.TB, module string, values, azure map[string]any, outputs ...string) Module {
	t.Helper()
	tree, err := treetest.Root()
	if err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(tree, "deploy", "terraform", "azure"), t.TempDir()
	for _, folder := range []string{"cloud-init", "modules/" + module} {
		if err := os.CopyFS(filepath.Join(to, folder), os.DirFS(filepath.Join(from, folder))); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Join(to, "modules", module)
	files, err := filepath.Glob(filepath.Join(folder, "*.tf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	for _, file := range files {
		rewrite(t, file, func(kind, label string) bool {
			return kind == "variable" || kind == "locals" || kind == "output" && slices.Contains(outputs, label)
		})
	}
	add := "variable \"azure\" { type = any }\noutput \"" + cloudInit + "\" { value = local." + cloudInit + " }\n"
	if err := os.WriteFile(filepath.Join(folder, "azure.tf"), []byte(add), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{"azure": azure}
	maps.Copy(all, values)
	rendered := Module{CustomData: map[string]string{}, Outputs: Outputs(t, folder, all)}
	if text := rendered.Outputs[cloudInit]; strings.HasPrefix(string(text), "{") {
		err = json.Unmarshal(text, &rendered.CustomData)
	} else {
		one := ""
		err = json.Unmarshal(text, &one)
		rendered.CustomData[""] = one
	}
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

var ofAzure = regexp.MustCompile(`\b(?:data\.)?(azurerm_\w+)\.\w+`)

// rewrite leaves of a file the blocks that keep wants, with variables in the place of resources.
func rewrite(t testing.TB, file string, keep func(kind, label string) bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, faults := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	out := ""
	for _, block := range parsed.Body.(*hclsyntax.Body).Blocks {
		if keep(block.Type, strings.Join(block.Labels, "")) {
			out += string(block.Range().SliceBytes(text)) + "\n"
		}
	}
	out = ofAzure.ReplaceAllString(out, "var.azure.$1")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
}
