package placement_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
)

// world is a catalog that tests write to as the registry would.
type world struct {
	*catalog.Catalog
	revision int64
}

func newWorld() *world { return &world{Catalog: catalog.New(catalog.Config{})} }

func (w *world) put(changes ...mesh.Change) {
	w.revision++
	for i := range changes {
		changes[i].Revision = w.revision
	}
	w.Apply(w.revision, true, changes)
}

func orders(vms mesh.VMEndpoints) mesh.Change {
	return mesh.Change{Service: &mesh.Service{Name: "orders", Owner: "shop", Protocol: mesh.HTTP, Port: 80, Endpoints: mesh.Endpoints{VMs: &vms}}}
}

func machine(id string, change func(*mesh.VM)) mesh.Change {
	v := &mesh.VM{Source: "az", ID: id, Name: id, PrivateIP: "10.0.0.7", PublicIP: "20.0.0.7", Region: "westeurope", Zone: "1", State: mesh.VMRunning, Health: mesh.VMHealthUnknown, Runs: []mesh.VMService{{Name: "orders", Port: 8080}}}
	if change != nil {
		change(v)
	}
	return mesh.Change{VM: v}
}

var fromAzure = mesh.VMEndpoints{Sources: []string{"az"}}

func TestPlace(t *testing.T) {
	for name, c := range map[string]struct {
		service mesh.VMEndpoints
		vm      func(*mesh.VM)
		more    []mesh.Change
		want    *mesh.Instance // nil: none
		why     string
	}{
		"its tag names the service": {service: fromAzure, want: &mesh.Instance{Address: "10.0.0.7", Port: 8080}},
		"the port is declared": {service: mesh.VMEndpoints{Sources: []string{"az"}, Port: 8443}, vm: func(v *mesh.VM) { v.Runs[0].Port = 0 },
			want: &mesh.Instance{Address: "10.0.0.7", Port: 8443}},
		"the port is the service's": {service: fromAzure, vm: func(v *mesh.VM) { v.Runs[0].Port = 0 }, want: &mesh.Instance{Address: "10.0.0.7", Port: 80}},
		"by its public address":     {service: mesh.VMEndpoints{Sources: []string{"az"}, Address: mesh.PublicAddress}, want: &mesh.Instance{Address: "20.0.0.7", Port: 8080}},
		"it has no address":         {service: fromAzure, vm: func(v *mesh.VM) { v.PrivateIP = "" }, why: "it has no private address"},
		"nobody can connect to it":  {service: fromAzure, vm: func(v *mesh.VM) { v.PrivateIP = "127.0.0.1" }, why: "address"},
		"deallocated":               {service: fromAzure, vm: func(v *mesh.VM) { v.State = mesh.VMDeallocated }, why: "it is deallocated"},
		"starting":                  {service: fromAzure, vm: func(v *mesh.VM) { v.State = mesh.VMStarting }, why: "it is starting"},
		"stopping":                  {service: fromAzure, vm: func(v *mesh.VM) { v.State = mesh.VMStopping }, want: &mesh.Instance{Address: "10.0.0.7", Port: 8080, Health: mesh.Draining}},
		"nobody says":               {service: fromAzure, vm: func(v *mesh.VM) { v.State = mesh.VMUnknown }, want: &mesh.Instance{Address: "10.0.0.7", Port: 8080}},
		"unhealthy":                 {service: fromAzure, vm: func(v *mesh.VM) { v.Health = mesh.VMUnhealthy }, want: &mesh.Instance{Address: "10.0.0.7", Port: 8080, Health: mesh.Unhealthy}},
		"another source":            {service: mesh.VMEndpoints{Sources: []string{"other"}}, why: "does not have source az in endpoints.vms.sources"},
		"another service":           {service: fromAzure, vm: func(v *mesh.VM) { v.Runs[0].Name = "bills" }, why: "not an instance of bills: no such service is declared"},
		"a tag that is wrong":       {service: fromAzure, vm: func(v *mesh.VM) { v.Runs, v.Faults = nil, []string{"tag heddle-port: no"} }, why: "its tags name no service that can be taken (see its faults)"},
		"no tag":                    {service: fromAzure, vm: func(v *mesh.VM) { v.Runs = nil }, why: "its tags name no service"},
		"by tags of its own": {service: mesh.VMEndpoints{Sources: []string{"az"}, Tags: map[string]string{"role": "shop", "tier": "1"}},
			vm: func(v *mesh.VM) { v.Runs, v.Tags = nil, map[string]string{"Role": "shop", "tier": "1", "more": "x"} }, want: &mesh.Instance{Address: "10.0.0.7", Port: 80}},
		"not all of the tags": {service: mesh.VMEndpoints{Sources: []string{"az"}, Tags: map[string]string{"role": "shop", "tier": "1"}},
			vm: func(v *mesh.VM) { v.Tags = map[string]string{"role": "Shop", "tier": "1"} }, why: "it does not have the tags of endpoints.vms.tags"},
		"it has a sidecar": {service: fromAzure, more: []mesh.Change{{Instance: &mesh.Instance{ID: "self", Service: "orders", Address: "10.0.0.7", Port: 15006}}},
			why: "it keeps itself registered, at the same address"},
		"a pod has that address": {service: fromAzure, more: []mesh.Change{{Instance: &mesh.Instance{ID: "pod", Service: "orders", Address: "10.0.0.7", Port: 15006, Meta: mesh.Meta{Keeper: "kubernetes/prod"}}}},
			want: &mesh.Instance{Address: "10.0.0.7", Port: 8080}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.put(append([]mesh.Change{orders(c.service), machine("a", c.vm)}, c.more...)...)
			p := placement.Place(w.View())
			placed := p.Of[mesh.VMKey{Source: "az", ID: "a"}]
			if c.want == nil {
				if len(placed.As) != 0 || len(placed.Not) != 1 || !strings.Contains(placed.Not[0].String(), c.why) {
					t.Errorf("placed %+v, want no instance because %s", placed, c.why)
				}
				return
			}
			list := p.Sets[placement.Set{Service: "orders", Source: "az"}]
			if len(list) != 1 || len(placed.As) != 1 || len(placed.Not) != 0 {
				t.Fatalf("set %+v, placed %+v, want one instance", list, placed)
			}
			got := list[0]
			if got.Address != c.want.Address || got.Port != c.want.Port || got.Health != c.want.Health || got.Locality != (mesh.Locality{Region: "westeurope", Zone: "1"}) || placed.As[0] != (mesh.VMPlace{Service: got.Service, Instance: got.ID, Port: got.Port}) {
				t.Errorf("instance %+v, want %+v", got, *c.want)
			}
		})
	}
}

// TestAMachineRunsSeveralServices, each at a port of its own; and of a tag only what a
// subset asks for is told to callers.
func TestAMachineRunsSeveralServices(t *testing.T) {
	w := newWorld()
	bills := orders(fromAzure)
	bills.Service.Name, bills.Service.Subsets = "bills", []mesh.Subset{{Name: "v2", Labels: map[string]string{"version": "2"}}}
	w.put(orders(fromAzure), bills, machine("a", func(v *mesh.VM) {
		v.Runs = append(v.Runs, mesh.VMService{Name: "bills", Port: 9090}, mesh.VMService{Name: "gone"})
		v.Tags = map[string]string{"Version": "2", "cost-centre": "7"}
	}), machine("b", nil))
	p := placement.Place(w.View())
	if n := len(p.Sets[placement.Set{Service: "orders", Source: "az"}]); n != 2 {
		t.Errorf("orders has %d instances, want 2", n)
	}
	list := p.Sets[placement.Set{Service: "bills", Source: "az"}]
	if len(list) != 1 || list[0].Port != 9090 || len(list[0].Labels) != 1 || list[0].Labels["version"] != "2" {
		t.Errorf("bills has %+v", list)
	}
	placed := p.Of[mesh.VMKey{Source: "az", ID: "a"}]
	if len(placed.As) != 2 || !slices.Equal(placed.Not, []placement.Reason{{Service: "gone", Why: "no such service is declared"}}) {
		t.Errorf("placed %+v", placed)
	}
	if a, b := mesh.VMInstance(mesh.VMKey{Source: "az", ID: "rg1/web"}, "web"), mesh.VMInstance(mesh.VMKey{Source: "az", ID: "rg2/web"}, "web"); a == b {
		t.Errorf("two machines of one name are both instance %s", a)
	}
}
