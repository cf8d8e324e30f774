package terraform

import (
	"path/filepath"
	"regexp"
	"testing"
)

// What is declared and named nowhere does nothing, and misleads who reads it.
func TestAllThatIsDeclaredIsUsed(t *testing.T) {
	for _, folder := range folders(t) {
		blocks, text := read(t, folder, ".tf"), ""
		seen := map[string]bool{}
		for _, b := range blocks {
			if !seen[b.file] {
				seen[b.file] = true
				text += string(b.text)
			}
		}
		used := func(b block, name string) {
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(text) {
				t.Errorf("%s: %s is used nowhere in %s", b.file, name, filepath.Base(folder))
			}
		}
		for _, b := range blocks {
			switch b.Type {
			case "variable":
				used(b, "var."+b.Labels[0])
			case "data":
				used(b, "data."+b.Labels[0]+"."+b.Labels[1])
			case "locals":
				for name := range b.Body.Attributes {
					used(b, "local."+name)
				}
			}
		}
	}
}
