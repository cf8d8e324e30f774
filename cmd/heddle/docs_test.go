package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	checked := 0
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range fenced(string(data)) {
			checked += parseAll(t, filepath.Base(page), line)
		}
	}
	for _, command := range leaves(model(t).Node) {
		for line := range strings.Lines(strings.ReplaceAll(command.Detail, "\\\n", "")) {
			if strings.HasPrefix(line, "  ") {
				checked += parseAll(t, command.FullPath()+" --help", strings.TrimSpace(line))
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands found: does the test still see them?", checked)
	}
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
func parseAll(t *testing.T, where, line string) int {
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
		var line cli
		parser, err := newParser(&line, newConsole(strings.NewReader(""), io.Discard, io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		parser.Exit = func(int) {}
		if _, err := parser.Parse(args); err != nil {
			t.Errorf("%s: heddle %s: %v", where, strings.Join(args, " "), err)
		}
	}
	return found
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
