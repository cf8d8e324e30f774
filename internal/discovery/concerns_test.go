package discovery_test

import (
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestADigestTellsSettingsApart, and nothing that is secret in them.
func TestADigestTellsSettingsApart(t *testing.T) {
	digest := func(text string) string {
		t.Helper()
		var settings any
		if err := yaml.Unmarshal([]byte(text), &settings); err != nil {
			t.Fatal(err)
		}
		return discovery.Digest(settings)
	}
	const is = `{name: dc, interval: 1m, inventory: {url: "https://me:hunter2@cmdb.example.com/vms?site=a&key=hunter2", tokenFile: /run/token}}`
	for name, c := range map[string]struct {
		text string
		same bool
	}{
		"itself":            {is, true},
		"another order":     {`{inventory: {tokenFile: /run/token, url: "https://me:hunter2@cmdb.example.com/vms?key=hunter2&site=a"}, interval: 1m, name: dc} # as before`, true},
		"another password":  {strings.Replace(is, "hunter2@", "hunter3@", 1), true},
		"another key":       {strings.Replace(is, "key=hunter2", "key=hunter3", 1), true},
		"another host":      {strings.Replace(is, "cmdb.", "cmdb2.", 1), false},
		"another path":      {strings.Replace(is, "/vms", "/all", 1), false},
		"another parameter": {strings.Replace(is, "site=", "place=", 1), false},
		"another file":      {strings.Replace(is, "/run/token", "/run/other", 1), false},
		"another interval":  {strings.Replace(is, "1m", "2m", 1), false},
		"one more setting":  {strings.Replace(is, "interval", "longest: 5m, interval", 1), false},
		"keys of numbers":   {`{select: {1: x}}`, false},
		"no number":         {`{interval: .nan}`, false},
	} {
		if same := digest(c.text) == digest(is); same != c.same {
			t.Errorf("%s: same is %t", name, same)
		}
	}
	if digest("{select: {1: x}}") == digest("{select: {2: x}}") || digest("{a: .nan}") == digest("{b: .nan}") {
		t.Error("what JSON does not have is told apart by nothing")
	}
}

func TestDifferencesOfSettings(t *testing.T) {
	own := []discovery.Source{{Name: "dc", Digest: "1"}, {Name: "mine", Digest: "2"}, {Name: "same", Digest: "3"}}
	digests := map[string]string{"dc": "9", "same": "3", "theirs": "4"}
	for name, c := range map[string]struct {
		roster mesh.DiscoveryRoster
		want   []string
	}{
		"nobody leads": {mesh.DiscoveryRoster{}, nil},
		"it leads":     {mesh.DiscoveryRoster{Server: "two", Sources: []string{"theirs"}, Digests: digests}, nil},
		"another leads": {mesh.DiscoveryRoster{Server: "one", Sources: []string{"theirs", "same", "dc"}, Digests: digests}, []string{
			"dc: its settings on server two differ from those on server one, which",
			"mine: the settings of server two have it, and those of server one, which refreshes the sources, do not",
			"theirs: the settings of server two do not have it",
		}},
		"one of before leads": {mesh.DiscoveryRoster{Server: "one", Sources: []string{"dc", "mine", "same"}}, nil},
	} {
		got := discovery.Differences("two", own, &c.roster)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i, want := range c.want {
			if text := got[i].Source + ": " + got[i].Message; !strings.HasPrefix(text, want) || got[i].Server != "two" || !strings.Contains(text, "Give all servers the same file") {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}
