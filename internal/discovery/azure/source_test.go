package azure_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const sub = "00000000-0000-0000-0000-00000000000A"

// source is one that asks an Azure of a test as its managed identity.
func source(t testing.TB, a *azuretest.Azure, change func(*azure.Config)) *azure.Source {
	t.Helper()
	for name, value := range a.Env() {
		t.Setenv(name, value)
	}
	cfg := azure.Config{
		Subscriptions: []azure.Subscription{{ID: sub}}, Auth: azure.ByManagedIdentity,
		Cloud: azure.Custom, ResourceManager: a.URL, Audience: "https://management.azure.com", AuthorityHost: "https://login.microsoftonline.com/",
	}
	if change != nil {
		change(&cfg)
	}
	s, err := azure.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func list(t testing.TB, s *azure.Source) discovery.Listing {
	t.Helper()
	listing, err := s.List(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return listing
}

// whole is a listing none of whose scopes failed, by machines' names.
func whole(t testing.TB, s *azure.Source) map[string]mesh.VM {
	t.Helper()
	out := map[string]mesh.VM{}
	for _, scope := range list(t, s).Scopes {
		if scope.Err != nil {
			t.Fatalf("%s: %v", scope.Name, scope.Err)
		}
		for _, vm := range scope.VMs {
			out[vm.Name] = vm
		}
	}
	return out
}

var listings = []azure.Listing{azure.ByARM, azure.ByResourceGraph}

// said is what a test says of a machine, in one line.
func said(vm mesh.VM) string {
	return fmt.Sprintf("%s %s %s|%s|%s|%s/%s|%s", vm.State, vm.PrivateIP, vm.PublicIP, strings.Join(vm.Addresses, ","), vm.ScaleSet, vm.Region, vm.Zone, strings.Join(vm.Faults, "; "))
}

func inAddition(tags, more map[string]string) map[string]string {
	out := maps.Clone(tags)
	maps.Copy(out, more)
	return out
}

func TestMachinesAreListed(t *testing.T) {
	orders := map[string]string{"heddle-service": "orders:8080"}
	one := []azuretest.NIC{azuretest.Address("10.0.0.4", "")}
	for name, c := range map[string]struct {
		vm   azuretest.VM
		want string
	}{
		"running":                  {azuretest.VM{Zone: "2", NICs: []azuretest.NIC{azuretest.Address("10.0.0.4", "20.1.2.3")}}, "running 10.0.0.4 20.1.2.3|||westeurope/2|"},
		"in no zone":               {azuretest.VM{Tags: map[string]string{"Heddle-Zone": "rack-7"}, NICs: one}, "running 10.0.0.4 |||westeurope/rack-7|"},
		"in a zone, and says":      {azuretest.VM{Zone: "3", Tags: map[string]string{"heddle-zone": "rack-7"}, NICs: one}, "running 10.0.0.4 |||westeurope/3|"},
		"in a set of availability": {azuretest.VM{AvailabilitySet: "racks", NICs: one}, "running 10.0.0.4 |||westeurope/|"},
		"elsewhere":                {azuretest.VM{Location: "northeurope", NICs: one}, "running 10.0.0.4 |||northeurope/|"},
		"deallocated":              {azuretest.VM{Power: "deallocated", NICs: one}, "deallocated 10.0.0.4 |||westeurope/|"},
		"stopping":                 {azuretest.VM{Power: "deallocating", NICs: one}, "stopping 10.0.0.4 |||westeurope/|"},
		"stopped":                  {azuretest.VM{Power: "stopped", NICs: one}, "stopped 10.0.0.4 |||westeurope/|"},
		"starting":                 {azuretest.VM{Power: "starting", NICs: one}, "starting 10.0.0.4 |||westeurope/|"},
		"being deleted":            {azuretest.VM{Provisioning: "Deleting", NICs: one}, "stopping 10.0.0.4 |||westeurope/|"},
		"failed":                   {azuretest.VM{Provisioning: "Failed", NICs: one}, "running 10.0.0.4 |||westeurope/|its latest change failed in Azure (provisioning state Failed)"},
		"of no state":              {azuretest.VM{Power: "-", NICs: one}, "unknown 10.0.0.4 |||westeurope/|Azure does not say whether it runs: it is taken to run"},
		"being made":               {azuretest.VM{Power: "-", Provisioning: "Creating", NICs: one}, "starting 10.0.0.4 |||westeurope/|"},
		"of a state unheard":       {azuretest.VM{Power: "hibernated", NICs: one}, "unknown 10.0.0.4 |||westeurope/|Azure does not say whether it runs: it is taken to run"},
		"no interface":             {azuretest.VM{}, "running  |||westeurope/|it has no network interface"},
		"no address":               {azuretest.VM{NICs: []azuretest.NIC{{Configs: []azuretest.IP{{}}}}}, "running  |||westeurope/|it has no private address"},
		"an interface gone":        {azuretest.VM{NICs: []azuretest.NIC{{Missing: true}}}, "running  |||westeurope/|its network interface subscriptions/00000000-0000-0000-0000-00000000000a/resourcegroups/mesh/providers/microsoft.network/networkinterfaces/vm-nic0 is not there: deleted meanwhile, or in a resource group that the identity may not read; it has no private address"},
		"an address gone":          {azuretest.VM{NICs: []azuretest.NIC{{Configs: []azuretest.IP{{Private: "10.0.0.4", Dangling: true}}}}}, "running 10.0.0.4 |||westeurope/|its public address subscriptions/00000000-0000-0000-0000-00000000000a/resourcegroups/mesh/providers/microsoft.network/publicipaddresses/vm-nic0-ip0 is not there, or has no address yet"},
		"two interfaces":           {azuretest.VM{NICs: []azuretest.NIC{azuretest.Address("10.0.1.4", "20.0.0.9"), {Primary: true, Configs: []azuretest.IP{{Private: "10.0.0.4"}}}}}, "running 10.0.0.4 20.0.0.9|10.0.1.4||westeurope/|"},
		"two, none primary":        {azuretest.VM{NICs: []azuretest.NIC{azuretest.Address("10.0.1.4", ""), azuretest.Address("10.0.0.4", "")}}, "running 10.0.1.4 |10.0.0.4||westeurope/|none of its 2 network interfaces is the primary one: the first is taken"},
		"two addresses":            {azuretest.VM{NICs: []azuretest.NIC{{Configs: []azuretest.IP{{Private: "fd00::4"}, {Private: "10.0.0.4", Public: "20.1.2.3", Primary: true}}}}}, "running 10.0.0.4 20.1.2.3|fd00::4||westeurope/|"},
		"in another group":         {azuretest.VM{NICs: []azuretest.NIC{{Name: "shared", Group: "Network", Configs: one[0].Configs}}}, "running 10.0.0.4 |||westeurope/|"},
		"in a flexible set":        {azuretest.VM{ScaleSet: "Web", NICs: one}, "running 10.0.0.4 ||Web|westeurope/|"},
		"an address of words":      {azuretest.VM{NICs: []azuretest.NIC{azuretest.Address("ten", "")}}, `running  |||westeurope/|its address "ten" is none; it has no private address`},
	} {
		for _, by := range listings {
			t.Run(name+" by "+string(by), func(t *testing.T) {
				a := azuretest.New(t)
				c.vm.Subscription, c.vm.Group, c.vm.Name = sub, "Mesh", "vm"
				c.vm.Tags = inAddition(orders, c.vm.Tags)
				a.Put(c.vm)
				got, is := whole(t, source(t, a, func(cfg *azure.Config) { cfg.Listing = by }))["vm"]
				if !is {
					t.Fatal("it is not listed")
				}
				if said(got) != c.want {
					t.Errorf("got  %s\nwant %s", said(got), c.want)
				}
				if want := strings.ToLower("subscriptions/" + sub + "/resourceGroups/Mesh/providers/Microsoft.Compute/virtualMachines/vm"); got.ID != want {
					t.Errorf("its ID is %s, want %s", got.ID, want)
				}
				if !slices.Equal(got.Runs, []mesh.VMService{{Name: "orders", Port: 8080}}) {
					t.Errorf("it runs %v", got.Runs)
				}
			})
		}
	}
}
