package terraform

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

var update = flag.Bool("update", false, "write the tables of the READMEs anew")

// made is the line below which a README is made by this test.
const made = "<!-- made from variables.tf and outputs.tf by hack/generate.sh -->\n"

// The tables of inputs and outputs in the READMEs are those of the modules.
func TestReadmesOfModulesAreUpToDate(t *testing.T) {
	for _, folder := range folders(t) {
		path := filepath.Join(folder, "README.md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		above, below, ok := strings.Cut(string(text), made)
		if !ok {
			t.Errorf("%s lacks the line %s", path, made)
			continue
		}
		want := tables(t, folder)
		if *update {
			if err := os.WriteFile(path, []byte(above+made+want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if below != want {
			t.Errorf("the tables of %s are not those of the module: run hack/generate.sh", path)
		}
	}
}

// tables are the inputs and outputs of a module, as Markdown.
func tables(t *testing.T, folder string) string {
	t.Helper()
	inputs, outputs := strings.Builder{}, strings.Builder{}
	for _, one := range read(t, folder, ".tf") {
		switch one.Type {
		case "variable":
			value := "**required**"
			if given := one.Body.Attributes["default"]; given != nil {
				value = "`" + oneLine(one.source(given.Expr.Range())) + "`"
			}
			kind := oneLine(one.source(one.Body.Attributes["type"].Expr.Range()))
			fmt.Fprintf(&inputs, "| `%s` | `%s` | %s | %s |\n", one.Labels[0], kind, value, text(t, one, "description"))
		case "output":
			fmt.Fprintf(&outputs, "| `%s` | %s |\n", one.Labels[0], text(t, one, "description"))
		}
	}
	return "\n## Inputs\n\n| input | type | default | what it is |\n| --- | --- | --- | --- |\n" + inputs.String() +
		"\n## Outputs\n\n| output | what it is |\n| --- | --- |\n" + outputs.String()
}

// text is an attribute's value, which is a constant.
func text(t *testing.T, b block, name string) string {
	t.Helper()
	value, faults := b.Body.Attributes[name].Expr.Value(&hcl.EvalContext{})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return strings.ReplaceAll(value.AsString(), "|", "\\|")
}

// oneLine puts an expression of several lines into one, without its comments.
func oneLine(expression string) string {
	var out []string
	for line := range strings.Lines(expression) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.Join(strings.Fields(line), " ")
		if line == "" {
			continue
		}
		if last := len(out) - 1; last >= 0 && !strings.HasSuffix(out[last], "({") && !strings.HasSuffix(out[last], "{") && !strings.HasPrefix(line, "}") {
			out[last] += ","
		}
		out = append(out, line)
	}
	return strings.Join(out, " ")
}
