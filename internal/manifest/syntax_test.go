package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/manifest"
)

// The line has to be the one that is wrong: yaml.v3 often names the first line
// of the document instead.
func TestSyntaxFaultsNameTheLine(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"indentation":      {"kind: Service\nname: web\n port: 8080\nowner: x\n", `f.yaml:3: not valid YAML: a ":" where none can be: is the line indented too far, or does a text with ": " in it want quotes?`},
		"open list":        {"kind: Service\ndependencies: [a, b\nport: 8080\n", `f.yaml:2: not valid YAML: the "[" that is opened here is not closed, or a comma is missing`},
		"open object":      {"- {kind: Runtime}\n---\nname: {a: b\nport: 80\n", `f.yaml:3: not valid YAML: the "{" that is opened here is not closed, or a comma is missing`},
		"tab":              {"kind: Service\nsub:\n\tname: web\n", "f.yaml:3: not valid YAML: the line is indented with a tab: use spaces"},
		"tab after spaces": {"kind: Service\nsub:\n  a: 1\n \tname: web\n", "f.yaml:4: not valid YAML: the line is indented with a tab: use spaces"},
		"dedent too small": {"kind: Service\nsub:\n  a: 1\n b: 2\nport: 80\n", "f.yaml:3: not valid YAML: a field name is wanted here or on the next line: look at the indentation and the quotes"},
		"quote in quotes":  {"kind: Service\nowner: x\nname: 'it's'\nport: 80\n", "f.yaml:3: not valid YAML: a field name is wanted here or on the next line: look at the indentation and the quotes"},
		"open quote":       {"kind: Service\nname: \"web\nport: 80\n", "f.yaml:2: not valid YAML: a quote is opened here and never closed"},
		"odd character":    {"kind: Service\nname: @web\n", "f.yaml:2: not valid YAML: no value can start with this character: put the text in quotes"},
		"no colon":         {"kind: Service\nname web\nport: 80\n", `f.yaml:2: not valid YAML: a field name without a ":" behind it`},
		"unknown anchor":   {"kind: Service\n\nname: *nope\n", "f.yaml:3: not valid YAML: unknown anchor 'nope' referenced"},
		"list in object":   {"kind: Service\n- b\nowner: y\n", "f.yaml:2: not valid YAML: a field name is wanted here or on the next line: look at the indentation and the quotes"},
		"NUL":              {"kind: Service\nname: \x00\n", "f.yaml:2: not valid YAML: the line has a control character"},
		"Latin-1":          {"kind: Service\nowner: J\xfcrgen\n", "f.yaml:2: not valid YAML: the line is not UTF-8"},
		"bad escape":       {"kind: Service\nname: \"\\q\"\n", "f.yaml:2: not valid YAML: found unknown escape character"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := manifest.Parse("f.yaml", []byte(test.text))
			if diff := cmp.Diff([]string{test.want}, lines(faults)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for _, step := range []string{"1 0", "2 1", "3 2", "4 3", "5 4", "6 5", "7 6", "8 7"} {
		now, before, _ := strings.Cut(step, " ")
		b.WriteString("a" + now + ": &a" + now + " [" + strings.Repeat("*a"+before+", ", 9) + "*a" + before + "]\n")
	}
	for name, text := range map[string]string{
		"billion laughs": b.String(),
		"a cycle":        "kind: Runtime\nvalues: &a\n  b: [*a, *a]\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := manifest.Parse("f.yaml", []byte(text))
			if len(faults) != 1 || !strings.Contains(faults[0].Message, "aliases stand for more than") {
				t.Errorf("faults: %.500q", lines(faults))
			}
		})
	}
}
