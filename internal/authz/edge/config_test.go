package edge

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func read(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "providers.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(file)
}

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := read(t, `{"providers": [
		{"name": "staff", "cloudflareAccess": {"team": "acme", "audiences": ["tag"]}, "skew": "30s"},
		{"name": "partners", "oidc": {"issuer": "https://id.example.com/", "audiences": ["shop"], "algorithms": ["ES256"], "groupsClaim": "roles"}}]}`)
	want := Config{Providers: []Provider{
		{Name: "staff", CloudflareAccess: &CloudflareAccess{Team: "acme", Audiences: []string{"tag"}}, Skew: 30_000_000_000},
		{Name: "partners", OIDC: &OIDC{Issuer: "https://id.example.com/", Audiences: []string{"shop"}, Algorithms: []string{"ES256"}, GroupsClaim: "roles"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := New(got, nil, nil, nil); err != nil {
		t.Error(err)
	}
	if url := discoveryURL("https://id.example.com/"); url != "https://id.example.com/.well-known/openid-configuration" {
		t.Errorf("the document is looked for at %s", url)
	}
}

// The example in the docs is one that can be used.
func TestExampleInTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/authz.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n{\"providers\"")
	text, _, _ := strings.Cut(rest, "```")
	if got, err := read(t, `{"providers"`+text); err != nil || len(got.Providers) != 2 {
		t.Errorf("%d providers: %v", len(got.Providers), err)
	}
}

// Every fault is told at once, with its place.
func TestFaultsOfTheFile(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		text string
		want []string
	}{
		"no JSON":        {"providers:", []string{""}},
		"fields unknown": {`{"providers": [{"name": "a", "cloudflare": {}, "oidc": {"issuers": 1}}], "x": 1}`, []string{"providers[0].cloudflare", "providers[0].oidc.issuers", "x"}},
		"a field twice":  {`{"providers": [], "providers": []}`, []string{"providers"}},
		"none":           {`{}`, []string{"providers"}},
		"all at once": {`{"providers": [
			{"name": "A_", "skew": "6m"},
			{"name": "b", "cloudflareAccess": {"team": "https://acme.cloudflareaccess.com", "certsURL": "http://127.0.0.1/"}},
			{"name": "b", "caFile": "/nowhere", "oidc": {"issuer": "https://a@b.example?x", "audiences": [""], "algorithms": ["ES256", "HS256", "none"]}},
			{"name": "c", "oidc": {"issuer": "https://b.example", "audiences": ["x"]}, "cloudflareAccess": {"team": "acme", "audiences": ["x"]}}]}`, []string{
			"providers[0].name", "providers[0].skew", "providers[0]", "providers[1].cloudflareAccess.team", "providers[1].cloudflareAccess.certsURL",
			"providers[2].name", "providers[2].caFile", "providers[2].oidc.issuer", "providers[2].oidc.issuer", "providers[2].oidc.audiences[0]", "providers[2].oidc.algorithms[1]", "providers[2].oidc.algorithms[2]", "providers[3]",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, one.text)
			var refused *mesh.Error
			if !errors.As(err, &refused) || refused.Kind != mesh.KindInvalid {
				t.Fatalf("%v", err)
			}
			var got []string
			for _, fault := range refused.Faults {
				got = append(got, fault.Path)
			}
			if diff := cmp.Diff(one.want, got); diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a file that is not there: %v", err)
	}
}
