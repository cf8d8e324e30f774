package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md anew")

const referencePage = "../../docs/reference/cli.md"

// model gives the grammar of the whole command line.
func model(t *testing.T) *kong.Application {
	t.Helper()
	return anyParser(t).Model
}

// anyParser parses what can be typed. Making one is slow: whoever parses much makes one alone.
func anyParser(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := newParser(&commands{}, cli.NewConsole("heddle", strings.NewReader(""), io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// The page is made from what the binary knows, so that it is always true.
func TestReferencePageIsUpToDate(t *testing.T) {
	page := renderReference(model(t))
	if *update {
		if err := os.WriteFile(referencePage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(there), string(page)); diff != "" {
		t.Errorf("docs/reference/cli.md is not up to date: run go test ./cmd/heddle -update\n%s", diff)
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, command := range leaves(model(t).Node) {
		path := command.FullPath()
		if command.Parent != nil && command.Parent.DefaultCmd == command { // it is typed without its name
			path = command.Parent.FullPath()
		}
		if !strings.Contains(command.Detail, "  "+path) && !strings.Contains(command.Detail, "("+path) {
			t.Errorf("%s --help has no example", command.FullPath())
		}
		if command.Help == "" {
			t.Errorf("%s has no help", command.FullPath())
		}
		for _, flag := range command.Flags {
			if flag.Help == "" {
				t.Errorf("%s --%s has no help", command.FullPath(), flag.Name)
			}
		}
	}
}

// leaves gives the commands that do something, in the order of the help.
func leaves(n *kong.Node) []*kong.Node {
	if len(n.Children) == 0 {
		return []*kong.Node{n}
	}
	var all []*kong.Node
	for _, child := range n.Children {
		if !child.Hidden {
			all = append(all, leaves(child)...)
		}
	}
	return all
}

func renderReference(app *kong.Application) []byte {
	var b bytes.Buffer
	b.WriteString("# The command line\n\n<!-- Written by `go test ./cmd/heddle -update` from the commands themselves. -->\n\n")
	b.WriteString("`heddle COMMAND --help` shows what is here.\n\n")
	b.WriteString("`heddle-agent` is a program for hosts, with [`heddle agent`](#heddle-agent) (run when no command is named), `hosts`, `intercept`, `completion` and `version`: their flags and exit codes are the same.\n\n")
	commands := leaves(app.Node)
	var group string
	for _, command := range commands {
		if g := command.ClosestGroup(); g != nil && g.Title != group {
			group = g.Title
			fmt.Fprintf(&b, "\n**%s**\n\n", group)
		}
		fmt.Fprintf(&b, "- [`%s`](#%s): %s\n", command.FullPath(), strings.ReplaceAll(command.FullPath(), " ", "-"), command.Help)
	}
	b.WriteString("\n## Flags of every command\n\n")
	renderFlags(&b, app.Flags)
	b.WriteString(`
## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed; for ` + "`lint`" + `: there are errors |
| 2 | wrong usage: an unknown command or flag, a value that cannot be |
| 3 | not found |
| 4 | conflict: the object has changed meanwhile, or exists already |
| 5 | denied: no token, or one that may not do this |
| 6 | unavailable: the server cannot be reached or is not ready, or a port is taken |
| 7 | ` + "`explain`" + `: the call is stopped; ` + "`drift --fail`" + `: declarations and calls do not agree |
| 8 | ` + "`explain`" + `: the call is declared and allowed, and not known to arrive |

Errors go to standard error, results to standard output. Colours are used on a terminal only, and not when ` + "`NO_COLOR`" + ` is set.
`)
	for _, command := range commands {
		renderCommand(&b, command)
	}
	return b.Bytes()
}

func renderCommand(b *bytes.Buffer, command *kong.Node) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n", command.FullPath(), command.Help, strings.TrimSuffix(command.Summary(), " [flags]"))
	if command.Detail != "" {
		fmt.Fprintf(b, "\n%s\n", fenceExamples(command.Detail))
	}
	if len(command.Positional) > 0 {
		b.WriteString("\n| argument | what it is |\n| --- | --- |\n")
		for _, arg := range command.Positional {
			fmt.Fprintf(b, "| `%s` | %s |\n", arg.Summary(), cell(arg.Help))
		}
	}
	if len(command.Flags) > 0 {
		b.WriteByte('\n')
		renderFlags(b, command.Flags)
	}
}

func renderFlags(b *bytes.Buffer, flags []*kong.Flag) {
	b.WriteString("| flag | default | what it is |\n| --- | --- | --- |\n")
	for _, flag := range flags {
		if flag.Hidden || flag.Name == "help" {
			continue
		}
		name := "--" + flag.Name
		if !flag.IsBool() {
			name += "=" + strings.Trim(flag.FormatPlaceHolder(), `"`)
		}
		if flag.Short != 0 {
			name = "-" + string(flag.Short) + ", " + name
		}
		standard := ""
		if flag.Default != "" {
			standard = "`" + flag.Default + "`"
		}
		help := flag.Help
		if len(flag.Envs) > 0 {
			help += " Environment: `" + strings.Join(flag.Envs, "`, `") + "`."
		}
		if flag.Required {
			help = "*Required.* " + help
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", cell(name), standard, cell(help))
	}
}

// cell keeps a text from ending its column.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// fenceExamples puts the indented lines of a command's help into code blocks.
func fenceExamples(detail string) string {
	var out []string
	inside := false
	lines := strings.Split(strings.TrimSpace(detail), "\n")
	for i, line := range lines {
		indented := strings.HasPrefix(line, "  ")
		if indented != inside && line != "" {
			if indented && i > 0 && lines[i-1] != "" {
				out = append(out, "")
			}
			out = append(out, "```")
			inside = indented
		}
		out = append(out, strings.TrimPrefix(line, "  "))
	}
	if inside {
		out = append(out, "```")
	}
	return strings.Join(out, "\n")
}
