package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The settings that docs/azure.md shows are taken as they stand.
func TestTheDocsSettingsOfAzureAreTaken(t *testing.T) {
	page, err := os.ReadFile("../../docs/azure.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```yaml\nsources:")
	settings, _, _ := strings.Cut(after, "```")
	sources, err := readDiscovery(discoverySettings(t, "sources:"+settings))
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) != 1 || sources[0].Name != "azure-prod" || sources[0].Kind != "azure" || sources[0].Lister == nil {
		t.Errorf("%+v", sources)
	}
}

func TestFaultsOfDiscoverySettingsAreToldAtOnce(t *testing.T) {
	_, err := readDiscovery(discoverySettings(t, `sources:
  - {name: both, azure: {subscriptions: [{id: 00000000-0000-0000-0000-000000000000}]}, inventory: {file: x}}
  - {name: none}
  - {name: az, azure: {subscriptions: [{id: prod}], auth: password}}
`))
	for _, want := range []string{`sources[0] ("both"): give it its kind`, `sources[1] ("none"): give it its kind: azure or inventory`, `sources[2] ("az"): azure: subscriptions[0].id: "prod"`, `auth: "password"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	if _, err := readDiscovery(discoverySettings(t, "sources: [{name: az, azure: {clientSecret: hunter2}}]")); err == nil || !strings.Contains(err.Error(), "clientSecret not found") {
		t.Errorf("a secret in the settings: %v", err)
	}
}

func discoverySettings(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "discovery.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
