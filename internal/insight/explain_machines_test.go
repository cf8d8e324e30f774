package insight_test

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestExplainSaysWhyNoMachineIsAnInstance, with how many there are for each reason, and
// what shows more.
func TestExplainSaysWhyNoMachineIsAnInstance(t *testing.T) {
	vm := func(id string, change func(*mesh.VM)) mesh.Change {
		v := &mesh.VM{Source: "az", ID: id, Name: id, PrivateIP: "10.0.0.1", State: mesh.VMRunning, Runs: []mesh.VMService{{Name: "orders"}}}
		change(v)
		return mesh.Change{VM: v}
	}
	off := func(v *mesh.VM) { v.State = mesh.VMDeallocated }
	tags := map[string]string{"role": "web"}
	for name, c := range map[string]struct {
		wants mesh.VMEndpoints
		mesh  []mesh.Change
		says  []string
		mend  string
	}{
		"deallocated, and without an address": {
			mesh: []mesh.Change{vm("a", off), vm("b", off), vm("c", func(v *mesh.VM) { v.PrivateIP = "" })},
			says: []string{"of its 3 machines none can be one", "2 (such as a) because it is deallocated", "1 (such as c) because it has no private address"}, mend: "heddle get vms",
		},
		"an address of no use":  {mesh: []mesh.Change{vm("a", func(v *mesh.VM) { v.PrivateIP = "127.0.0.1" })}, says: []string{"1 (such as a) because address"}, mend: "heddle get vms"},
		"a source of others":    {wants: mesh.VMEndpoints{Sources: []string{"dc"}}, mesh: []mesh.Change{vm("a", func(*mesh.VM) {})}, says: []string{"does not have source az in endpoints.vms.sources"}, mend: "heddle get vms"},
		"the tags asked for":    {wants: mesh.VMEndpoints{Sources: []string{"az"}, Tags: tags}, mesh: []mesh.Change{vm("a", func(v *mesh.VM) { v.Runs = nil })}, says: []string{"none of the 1 machine of its sources (az) has all the tags"}, mend: "heddle get vms"},
		"no tag":                {mesh: []mesh.Change{vm("a", func(v *mesh.VM) { v.Runs = nil })}, says: []string{"has a tag that names it (such as heddle-service=orders)"}, mend: "heddle get vms"},
		"no machine":            {says: []string{"no machine of its sources (az) is known"}, mend: "heddle discovery list"},
		"it cannot be written":  {mesh: []mesh.Change{vm("a", func(*mesh.VM) {}), {Placing: &mesh.Placing{Faults: []mesh.UnwrittenSet{{Service: "orders", Source: "az", Error: "permission denied"}}}}}, says: []string{"permission denied"}, mend: "heddle status"},
		"it is not written yet": {mesh: []mesh.Change{vm("a", func(*mesh.VM) {})}, says: []string{"1 machine of source az is about to be written"}, mend: "heddle status"},
	} {
		t.Run(name, func(t *testing.T) {
			wants := c.wants
			if wants.Sources == nil {
				wants.Sources = []string{"az"}
			}
			m := explained(append(c.mesh, has("web", nil, "orders"), has("orders", func(s *mesh.Service) { s.Endpoints.VMs = &wants }))...)
			got := explain(t, m, insight.Question{From: "web", To: "orders"})
			if got.Stopped != "endpoints" || got.Mend != c.mend {
				t.Errorf("stopped by %q, mend %q: %s", got.Stopped, got.Mend, got.Summary)
			}
			for _, want := range c.says {
				if !strings.Contains(got.Summary, want) {
					t.Errorf("%q is not in: %s", want, got.Summary)
				}
			}
		})
	}
}
