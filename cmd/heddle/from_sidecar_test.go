package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// What the page says that a setting of Sidecar's is here exists: flags and variables in
// the right column of its tables.
func TestFromSidecarNamesWhatExists(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	add := func(flags []*kong.Flag) {
		for _, flag := range flags {
			known["--"+flag.Name] = true
			for _, env := range flag.Envs {
				known[env] = true
			}
		}
	}
	root := model(t).Node
	add(root.Flags)
	for _, command := range leaves(root) {
		if path := command.FullPath(); path == "heddle agent" || strings.HasPrefix(path, "heddle hosts") {
			add(command.Flags)
		}
	}
	named := regexp.MustCompile("`((?:--|HEDDLE_)[A-Za-z_-]+)")
	checked := 0
	for line := range strings.Lines(string(page)) {
		columns := strings.Split(line, "|")
		if len(columns) < 4 {
			continue
		}
		for _, match := range named.FindAllStringSubmatch(strings.Join(columns[2:], "|"), -1) {
			checked++
			if !known[match[1]] {
				t.Errorf("%s names %s, which does not exist", strings.TrimSpace(columns[1]), match[1])
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d settings found: does the test still see them?", checked)
	}
}
