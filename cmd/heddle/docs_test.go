package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// commandLine finds calls of heddle in a line of shell: up to a pipe, a
// redirection, a comment, or the three spaces before an explanation.
var commandLine = regexp.MustCompile(`(?:^|[\s(/=])heddle((?: [^|>&;#)\s]+| '[^']*'| "[^"]*")+)`)

// Every command that the pages and the help show can be typed.
func TestCommandsInTheDocsExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(append(pages, more...), "../../README.md", "../../CONTRIBUTING.md")
	parser := anyParser(t)
	parser.Exit = func(int) {}
	checked := 0
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range fenced(string(data)) {
			checked += parseAll(t, parser, filepath.Base(page), line)
		}
	}
	for _, command := range leaves(parser.Model.Node) {
		for line := range strings.Lines(strings.ReplaceAll(command.Detail, "\\\n", "")) {
			if strings.HasPrefix(line, "  ") {
				checked += parseAll(t, parser, command.FullPath()+" --help", strings.TrimSpace(line))
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands found: does the test still see them?", checked)
	}
}

var (
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```")
	inText    = regexp.MustCompile("`(heddle [^`]+)`")
)

// Every command and flag that is named within a sentence exists, too: it may be cut
// short there, so that it cannot be typed as it stands.
func TestCommandsNamedInSentencesExist(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	known, checked := model(t).Node, 0
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range inText.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(data), ""), -1) {
			if strings.Contains(match[1], "COMMAND") { // a pattern, no command
				continue
			}
			checked++
			if wrong := misnamed(known, strings.Fields(match[1])[1:]); wrong != "" {
				t.Errorf("%s names %q: %s", page, match[1], wrong)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d commands found: does the test still see them?", checked)
	}
}

// misnamed says what of a command's words does not exist; "": all do.
func misnamed(node *kong.Node, words []string) string {
	for len(words) > 0 && len(node.Children) > 0 {
		if strings.HasPrefix(words[0], "-") && node.DefaultCmd != nil {
			node = node.DefaultCmd
			break
		}
		at := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == words[0] })
		if at < 0 {
			return words[0] + " is no command"
		}
		node, words = node.Children[at], words[1:]
	}
	if len(node.Children) > 0 && node.DefaultCmd == nil {
		return "it lacks the command that is to be run"
	}
	known := map[string]bool{}
	for _, flag := range slices.Concat(node.AllFlags(false)...) {
		known["--"+flag.Name], known["-"+string(flag.Short)] = true, true
		if flag.Tag.Negatable != "" {
			known["--no-"+flag.Name] = true
		}
	}
	for _, word := range words {
		if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(name, "-") && !known[name] {
			return name + " is no flag of it"
		}
	}
	return ""
}

// fenced gives the lines of the code blocks of a page, with those that a
// backslash continues put together.
func fenced(page string) []string {
	var lines []string
	inside := false
	for line := range strings.Lines(strings.ReplaceAll(page, "\\\n", "")) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
			continue
		}
		if inside {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// parseAll parses the calls of heddle in a line and counts them.
func parseAll(t *testing.T, parser *kong.Kong, where, line string) int {
	t.Helper()
	calls := commandLine.FindAllStringSubmatch(strings.Join(strings.Fields(beforeExplanation(line)), " "), -1)
	if strings.Contains(line, "…") || strings.HasPrefix(line, "#") || strings.Contains(line, "[flags]") || strings.HasPrefix(line, "heddle: ") {
		return 0
	}
	found := 0
	for _, call := range calls {
		args := unquote(call[1])
		if strings.Contains(call[1], "<") || strings.Contains(call[1], "COMMAND") { // a pattern, no command
			continue
		}
		found++
		forget(parser)
		if _, err := parser.Parse(args); err != nil {
			t.Errorf("%s: heddle %s: %v", where, strings.Join(args, " "), err)
		}
	}
	return found
}

// forget has a parser begin anew: it keeps which flags were given, so that they would
// count as given in the next line, too.
func forget(parser *kong.Kong) {
	_ = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if value, ok := node.(*kong.Value); ok {
			value.Set, value.Active = false, false
		}
		return next(nil)
	})
}

// beforeExplanation cuts what some examples have to their right.
func beforeExplanation(line string) string {
	if at := strings.Index(line, "heddle"); at >= 0 {
		if wide := strings.Index(line[at:], "   "); wide > 0 {
			return line[:at+wide]
		}
	}
	return line
}

var word = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

func unquote(call string) []string {
	var args []string
	for _, one := range word.FindAllString(call, -1) {
		args = append(args, strings.Trim(one, `'"`))
	}
	return args
}
