package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The settings and the list that docs/inventory.md shows are taken as they stand.
func TestTheDocsInventoryIsTaken(t *testing.T) {
	page, err := os.ReadFile("../../docs/inventory.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(opening string) string {
		_, after, is := strings.Cut(string(page), opening)
		if !is {
			t.Fatalf("docs/inventory.md has no %q", opening)
		}
		text, _, _ := strings.Cut(after, "```")
		return text
	}
	inventory := filepath.Join(t.TempDir(), "inventory.json")
	if err := os.WriteFile(inventory, []byte(block("```json\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := strings.Replace("sources:"+block("```yaml\nsources:"), "/etc/heddle/inventory.json", inventory, 1)
	sources, err := readDiscovery(discoverySettings(t, settings))
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) != 2 || sources[0].Kind != "inventory" || sources[1].Kind != "inventory" {
		t.Fatalf("%+v", sources)
	}
	listing, err := sources[0].Lister.List(t.Context(), nil, nil)
	if err != nil || len(listing.Scopes) != 1 || listing.Scopes[0].Err != nil {
		t.Fatalf("%+v, %v", listing, err)
	}
	vms := listing.Scopes[0].VMs
	if len(vms) != 3 || vms[1].Weight != 2 || vms[2].State != mesh.VMStopping {
		t.Fatalf("%+v", vms)
	}
	for _, vm := range vms {
		if len(vm.Faults) > 0 || len(vm.Runs) != 1 || vm.Runs[0] != (mesh.VMService{Name: "orders", Port: 8080}) {
			t.Errorf("%+v", vm)
		}
	}
}
