package azure_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
)

// TestWhatIsNotSaidIsAsItWas: a machine that is listed, and whose state, interface or public
// address is not, keeps what it had, after a restart too, and says so.
func TestWhatIsNotSaidIsAsItWas(t *testing.T) {
	shared := []azuretest.NIC{{Name: "shared", Group: "Network", Configs: []azuretest.IP{{Private: "10.0.0.4", Public: "20.1.2.3", Primary: true}}}}
	for name, c := range map[string]struct {
		power, then string
		omit        string // what lists leave out then
		hide        bool   // the interface's group
		want        string
		only        azure.Listing // empty: both
	}{
		"its state":              {power: "deallocated", then: "-", want: "deallocated 10.0.0.4 20.1.2.3|||westeurope/|Azure does not say whether it runs: it is taken to be deallocated, as it was"},
		"its state, and it ran":  {power: "running", then: "-", want: "running 10.0.0.4 20.1.2.3|||westeurope/|Azure does not say whether it runs: it is taken to be running, as it was"},
		"Azure does not know":    {power: "stopped", then: "unknown", want: "stopped 10.0.0.4 20.1.2.3|||westeurope/|Azure does not say whether it runs: it is taken to be stopped, as it was"},
		"it was starting":        {power: "starting", then: "-", want: "unknown 10.0.0.4 20.1.2.3|||westeurope/|Azure does not say whether it runs: it is taken to run"},
		"it is not in that list": {power: "deallocated", then: "running", omit: "vm status", only: azure.ByARM, want: "deallocated 10.0.0.4 20.1.2.3|||westeurope/|Azure does not say whether it runs: it is taken to be deallocated, as it was"},
		"its interface":          {power: "running", then: "running", hide: true, want: "running 10.0.0.4 20.1.2.3|||westeurope/|its network interface " + inNetwork + "networkinterfaces/shared is not there: deleted meanwhile, or in a resource group that the identity may not read; its addresses are taken to be those that it had"},
		"its public address":     {power: "running", then: "running", omit: "publicipaddresses", want: "running 10.0.0.4 20.1.2.3|||westeurope/|its public address " + inNetwork + "publicipaddresses/shared-ip0 is not there, or has no address yet"},
	} {
		for _, listing := range listings {
			for _, restarted := range []bool{false, true} {
				if c.only != "" && c.only != listing {
					continue
				}
				t.Run(fmt.Sprintf("%s by %s, restarted %v", name, listing, restarted), func(t *testing.T) {
					a := azuretest.New(t)
					a.Put(azuretest.VM{Subscription: sub, Group: "Mesh", Name: "vm", Power: c.power, NICs: shared})
					s, r := source(t, a, by(listing)), &registry{}
					r.take(t, s)
					a.Change(sub, "Mesh", "vm", func(vm *azuretest.VM) { vm.Power = c.then })
					a.Omit(func(api, id string) bool { return c.omit != "" && (api == c.omit || strings.Contains(id, c.omit)) })
					if c.hide {
						a.Show(sub + "/mesh")
					}
					if restarted {
						s = source(t, a, by(listing))
					}
					for range 2 {
						r.take(t, s)
					}
					if got := said(*r.has("vm")); got != c.want {
						t.Errorf("got  %s\nwant %s", got, c.want)
					}
				})
			}
		}
	}
}

const inNetwork = whole0 + "/resourcegroups/network/providers/microsoft.network/"

// TestAnInterfaceThatWasReplacedIsNotAsItWas: the address of the one before is not taken.
func TestAnInterfaceThatWasReplacedIsNotAsItWas(t *testing.T) {
	for _, listing := range listings {
		t.Run(string(listing), func(t *testing.T) {
			a := azuretest.New(t)
			nic := func(name string) []azuretest.NIC {
				return []azuretest.NIC{{Name: name, Group: "Network", Configs: []azuretest.IP{{Private: "10.0.0.4", Primary: true}}}}
			}
			a.Put(azuretest.VM{Subscription: sub, Group: "Mesh", Name: "vm", NICs: nic("before")})
			s, r := source(t, a, by(listing)), &registry{}
			r.take(t, s)
			a.Show(sub + "/mesh")
			a.Change(sub, "Mesh", "vm", func(vm *azuretest.VM) { vm.NICs = nic("after") })
			for range 2 {
				if r.take(t, s); r.has("vm").PrivateIP != "" {
					t.Errorf("it has %+v", r.has("vm"))
				}
			}
		})
	}
}

// TestANewMachineThatIsInNoListOfStatesWaits until it is there: it may not run yet.
func TestANewMachineThatIsInNoListOfStatesWaits(t *testing.T) {
	a := azuretest.New(t)
	a.Put(azuretest.VM{Subscription: sub, Group: "Mesh", Name: "vm", NICs: []azuretest.NIC{azuretest.Address("10.0.0.4", "")}})
	a.Omit(func(api, _ string) bool { return api == azuretest.VMStatus })
	s, r := source(t, a, by(azure.ByARM)), &registry{}
	for range 2 {
		r.take(t, s)
		if got, want := said(*r.has("vm")), "starting 10.0.0.4 |||westeurope/|it is not in Azure's list of what machines do yet: it is taken to run when it is"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	a.Omit(nil)
	if r.take(t, s); said(*r.has("vm")) != "running 10.0.0.4 |||westeurope/|" {
		t.Errorf("it is %s", said(*r.has("vm")))
	}
}
