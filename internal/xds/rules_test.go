package xds_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table of the protocol's rules names tests that there are.
func TestRulesAreHeld(t *testing.T) {
	table, err := os.ReadFile("../../docs/reference/xds.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	named := regexp.MustCompile("`([a-z_]+\\.txt|(?:Test|Fuzz)[A-Za-z]+)`").FindAllStringSubmatch(string(table), -1)
	if len(named) < 30 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, one := range named {
		if strings.HasSuffix(one[1], ".txt") {
			if _, err := os.Stat(filepath.Join("testdata", one[1])); err != nil {
				t.Errorf("there is no such transcript: %v", err)
			}
		} else if !strings.Contains(tests.String(), "func "+one[1]+"(") {
			t.Errorf("there is no %s", one[1])
		}
	}
}
