package internal_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link         = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	makeCommand  = regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z-]*)")
	makeTarget   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	heading      = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence        = regexp.MustCompile("(?ms)^```.*?^```")
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// pages gives the text of each of our Markdown pages, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && file != ".." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(file) != ".md" {
			return nil
		}
		data, err := os.ReadFile(file)
		found[file] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("only %d pages found: does the test still see them?", len(found))
	}
	return found
}

// Every relative link leads to a file, and to a heading if it names one.
func TestLinksInTheDocsResolve(t *testing.T) {
	all := pages(t)
	for file, text := range all {
		for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			to, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: link %q: %v", file, match[1], err)
				continue
			}
			if to.Scheme != "" {
				continue
			}
			target := file
			if to.Path != "" {
				target = filepath.Join(filepath.Dir(file), filepath.FromSlash(to.Path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, match[1])
				continue
			}
			if to.Fragment != "" && !anchors(all[target])[to.Fragment] {
				t.Errorf("%s links to %s, which has no such heading", file, match[1])
			}
		}
	}
}

// anchors are the names by which a page's headings are linked to.
func anchors(page string) map[string]bool {
	names := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		name := notInAnchors.ReplaceAllString(strings.ToLower(match[1]), "")
		names[strings.ReplaceAll(name, " ", "-")] = true
	}
	return names
}

// Every make command that the pages name can be typed.
func TestMakeTargetsInTheDocsExist(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, match := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets[match[1]] = true
	}
	named := 0
	for file, text := range pages(t) {
		for _, match := range makeCommand.FindAllStringSubmatch(text, -1) {
			named++
			if !targets[match[1]] {
				t.Errorf("%s names make %s, which the Makefile does not have", file, match[1])
			}
		}
	}
	if named < 5 {
		t.Errorf("only %d make commands found: does the test still see them?", named)
	}
}

var (
	metricInCode = regexp.MustCompile(`(?:Name: *|NewDesc\()"(heddle_[a-z_]+)"`)
	metricOnPage = regexp.MustCompile("(?m)^\\| `(heddle_[a-z_]+)` \\|")
)

// The table of metrics in docs/reference/metrics.md has those of the code, all of them.
func TestEveryMetricIsOnThePage(t *testing.T) {
	inCode := map[string]bool{}
	for _, f := range readTree(t) {
		if f.isTest() {
			continue
		}
		data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(f.pkg), f.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range metricInCode.FindAllStringSubmatch(string(data), -1) {
			inCode[match[1]] = true
		}
	}
	if len(inCode) < 10 {
		t.Errorf("only %d metrics found: does the test still see them?", len(inCode))
	}
	onPage := map[string]bool{}
	for _, match := range metricOnPage.FindAllStringSubmatch(pages(t)[filepath.Join("..", "docs", "reference", "metrics.md")], -1) {
		onPage[match[1]] = true
		if !inCode[match[1]] {
			t.Errorf("docs/reference/metrics.md names the metric %s, which does not exist", match[1])
		}
	}
	for name := range inCode {
		if !onPage[name] {
			t.Errorf("docs/reference/metrics.md does not name the metric %s", name)
		}
	}
}

var pageInCode = regexp.MustCompile(`"GET (/ui/[^"]*)"`)

// Every web page that a person can go to is on the page about them.
func TestEveryWebPageIsInTheDocs(t *testing.T) {
	files, err := filepath.Glob("server/ui/*.go")
	if err != nil {
		t.Fatal(err)
	}
	place := strings.NewReplacer("{$}", "", "{name}", "NAME", "{id}", "ID", "{node...}", "NODE")
	about, found := pages(t)[filepath.Join("..", "docs", "ui.md")], 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range pageInCode.FindAllStringSubmatch(string(data), -1) {
			if strings.HasPrefix(match[1], "/ui/sign-in") || strings.HasPrefix(match[1], "/ui/oidc/") || strings.HasPrefix(match[1], "/ui/static/") {
				continue // the other pages lead there
			}
			found++
			if path := place.Replace(match[1]); !strings.Contains(about, "`"+path+"`") && !strings.Contains(about, "`"+path+"service`") {
				t.Errorf("docs/ui.md does not name the page %s", path)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d pages found: does the test still see them?", found)
	}
}

// A decision that the index does not list is not found by anyone.
func TestEveryDecisionIsInTheIndex(t *testing.T) {
	all := pages(t)
	index := all[filepath.Join("..", "docs", "decisions", "README.md")]
	for file := range all {
		name := filepath.Base(file)
		if filepath.Base(filepath.Dir(file)) == "decisions" && name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/decisions/README.md does not list %s", name)
		}
	}
}
