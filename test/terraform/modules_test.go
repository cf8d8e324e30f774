package terraform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

const root = "../../deploy/terraform/azure"

// block is a top-level block of a module, and the file that it is in.
type block struct {
	*hclsyntax.Block
	file string
	text []byte
}

// folders are the modules and examples.
func folders(t *testing.T) []string {
	t.Helper()
	modules, err := filepath.Glob(root + "/modules/*")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob(root + "/examples/*")
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) < 4 || len(examples) < 1 {
		t.Fatalf("only %d modules and %d examples: does the test still see them?", len(modules), len(examples))
	}
	return append(modules, examples...)
}

// read parses all files of a module with this ending.
func read(t *testing.T, folder, ending string) []block {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"+ending))
	if err != nil || len(files) == 0 {
		t.Fatalf("no *%s in %s: %v", ending, folder, err)
	}
	var out []block
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, faults := hclparse.NewParser().ParseHCL(text, file)
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		for _, one := range parsed.Body.(*hclsyntax.Body).Blocks {
			out = append(out, block{one, file, text})
		}
	}
	return out
}

// all are the blocks of all modules and examples that are of this type.
func all(t *testing.T, kind string) []block {
	t.Helper()
	var out []block
	for _, folder := range folders(t) {
		for _, one := range read(t, folder, ".tf") {
			if one.Type == kind {
				out = append(out, one)
			}
		}
	}
	return out
}

// source is an expression as it is written.
func (b block) source(r hcl.Range) string { return string(r.SliceBytes(b.text)) }

// Terraform formats with hclwrite, so this is terraform fmt -check.
func TestTheModulesAreFormatted(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".terraform" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".tf") && !strings.HasSuffix(path, ".tftest.hcl") {
			return nil
		}
		seen++
		text, err := os.ReadFile(path)
		if err == nil && string(hclwrite.Format(text)) != string(text) {
			t.Errorf("%s is not formatted: run terraform fmt -recursive deploy/terraform", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Fatalf("only %d files: does the test still see them?", seen)
	}
}

// Each input says what it is for, and checks what it is given, unless every value of its
// type will do; those of the example are checked by the modules that get them.
func TestInputsAreDescribedAndChecked(t *testing.T) {
	unchecked := map[string]bool{"nat_gateway": true, "encryption_at_host": true, "run_command": true, "image": true}
	for _, input := range all(t, "variable") {
		name := input.Labels[0]
		for _, wanted := range []string{"description", "type"} {
			if input.Body.Attributes[wanted] == nil {
				t.Errorf("%s: variable %q has no %s", input.file, name, wanted)
			}
		}
		checks := 0
		for _, inner := range input.Body.Blocks {
			if inner.Type != "validation" {
				continue
			}
			checks++
			if inner.Body.Attributes["error_message"] == nil {
				t.Errorf("%s: a validation of variable %q has no error_message", input.file, name)
			}
		}
		if checks == 0 && !unchecked[name] && strings.Contains(input.file, "/modules/") {
			t.Errorf("%s: variable %q takes anything: give it a validation", input.file, name)
		}
	}
	for _, output := range all(t, "output") {
		if output.Body.Attributes["description"] == nil {
			t.Errorf("%s: output %q has no description", output.file, output.Labels[0])
		}
	}
}

// Each check of a module's inputs is seen to refuse something, in its tests.
func TestEachCheckIsTried(t *testing.T) {
	for _, folder := range folders(t) {
		tested := map[string]int{}
		for _, run := range read(t, filepath.Join(folder, "tests"), ".tftest.hcl") {
			if run.Type != "run" || run.Body.Attributes["expect_failures"] == nil {
				continue
			}
			for _, traversal := range run.Body.Attributes["expect_failures"].Expr.Variables() {
				tested[traversal[1].(hcl.TraverseAttr).Name]++
			}
		}
		for _, input := range read(t, folder, ".tf") {
			if input.Type != "variable" {
				continue
			}
			checks := 0
			for _, inner := range input.Body.Blocks {
				if inner.Type == "validation" {
					checks++
				}
			}
			if tested[input.Labels[0]] < checks {
				t.Errorf("%s/tests: variable %q has %d checks, and %d tests that see it refuse something", folder, input.Labels[0], checks, tested[input.Labels[0]])
			}
		}
	}
}
