package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTheFileOfSources: what it says is taken, and all that is wrong in it is told at once.
func TestTheFileOfSources(t *testing.T) {
	read := func(t *testing.T, text string) (string, []string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "discovery.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sources, err := readDiscovery(path)
		var names []string
		for _, one := range sources {
			names = append(names, one.Name+" "+one.Kind)
		}
		if err == nil {
			return "", names
		}
		return err.Error(), names
	}
	for name, c := range map[string]struct {
		text string
		want []string // parts of the error
	}{
		"empty":                {"", []string{"discovery.yaml: it has no sources"}},
		"no list":              {"sources: []", []string{"it has no sources"}},
		"not YAML":             {"sources: [", []string{"read --discovery", "yaml"}},
		"an unknown field":     {"sources: [{name: dc, file: x}]", []string{"field file not found"}},
		"an interval":          {"sources: [{name: dc, interval: soon, inventory: {file: x}}]", []string{"soon"}},
		"too often":            {"sources: [{name: dc, interval: 10ms, inventory: {file: x}}]", []string{`sources[0] ("dc"): interval and longest are at least 1s`}},
		"longest is too often": {"sources: [{name: dc, longest: 10ms, inventory: {file: x}}]", []string{`sources[0] ("dc"): interval and longest are at least 1s`}},
		"longest is shorter":   {"sources: [{name: dc, interval: 60s, longest: 10s, inventory: {file: x}}]", []string{`sources[0] ("dc"): longest, 10s, is less than interval, 1m0s`}},
		"than the default":     {"sources: [{name: dc, longest: 10s, inventory: {file: x}}]", []string{`longest, 10s, is less than interval, 30s`}},
		"stale too soon":       {"sources: [{name: dc, longest: 5m, staleAfter: 4m, inventory: {file: x}}]", []string{`sources[0] ("dc"): staleAfter is at least longest, 5m0s`}},
		"negative":             {"sources: [{name: dc, interval: -1m, inventory: {file: x}}]", []string{"interval and longest"}},
		"no name":              {"sources: [{inventory: {file: x}}]", []string{`sources[0] (""): its name is not a DNS label`}},
		"a name that is none":  {"sources: [{name: DC_1, inventory: {file: x}}]", []string{`sources[0] ("DC_1"): its name is not a DNS label`}},
		"no kind":              {"sources: [{name: dc}]", []string{"give it its kind"}},
		"no place":             {"sources: [{name: dc, inventory: {}}]", []string{"inventory: give file or url"}},
		"two places":           {"sources: [{name: dc, inventory: {file: x, url: 'http://x/'}}]", []string{"inventory: give file or url"}},
		"no URL":               {"sources: [{name: dc, inventory: {url: 'ftp://x/'}}]", []string{`url is not one of http or https`}},
		"a token for a file":   {"sources: [{name: dc, inventory: {file: x, tokenFile: y}}]", []string{"tokenFile is for url"}},
		"two documents":        {"sources: [{name: dc, inventory: {file: x}}]\n---\nsources: [{name: two, inventory: {file: x}}]", []string{"more than one YAML document"}},
		"all at once": {"sources: [{name: dc}, {name: ok, inventory: {file: x}}, {name: ok, inventory: {file: y}}, {name: dc, interval: 1ms, inventory: {file: x}}]",
			[]string{`sources[0] ("dc"): give it its kind`, `sources[2] ("ok"): its name is another source's already`, `sources[3] ("dc")`}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := read(t, c.text)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	fault, names := read(t, "sources:\n- {name: dc, interval: 1m, longest: 5m, inventory: {url: 'https://cmdb.example.com/vms', tokenFile: /run/token, tags: {service: app}}}\n- {name: old, inventory: {file: x}}\n")
	if fault != "" || strings.Join(names, ",") != "dc inventory,old inventory" {
		t.Errorf("%v, %s", names, fault)
	}
	if _, err := readDiscovery(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "read --discovery: open ") {
		t.Errorf("a file that is not there: %v", err)
	}
	path := filepath.Join(t.TempDir(), "discovery.yaml")
	if err := os.WriteFile(path, []byte("sources: [{name: dc, interval: 20s, longest: 90s, inventory: {file: x}}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if sources, err := readDiscovery(path); err != nil || sources[0].Pace.Interval != 20*time.Second || sources[0].Pace.Longest != 90*time.Second {
		t.Errorf("%+v, %v", sources, err)
	}
}
