package azure_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestAGroupWithLettersBeyondASCII: what is missing there is asked for by its own name, so
// that it stays where the right was lost, and goes where it was deleted; and nothing is asked
// for while nothing is missing.
func TestAGroupWithLettersBeyondASCII(t *testing.T) {
	for _, listing := range listings {
		t.Run(string(listing), func(t *testing.T) {
			a := azuretest.New(t)
			for i := range 3 {
				a.Put(azuretest.VM{Subscription: sub, Group: "Büro 100%", Name: fmt.Sprintf("vm-%d", i)})
			}
			a.PutScaleSet(setOfTwo("Büro 100%", 2))
			a.Put(azuretest.VM{Subscription: sub, Group: "Front", Name: "front"})
			s, r := source(t, a, by(listing)), &registry{}
			r.take(t, s)
			calls := r.calls
			if r.take(t, s); r.calls != calls {
				t.Errorf("a refresh in which nothing changed made %d calls, the first %d", r.calls, calls)
			}
			for _, restarted := range []bool{false, true} {
				if restarted {
					s = source(t, a, by(listing))
				}
				a.Show(sub + "/front")
				if r.take(t, s); len(r.known) != 6 || r.scopes[whole0].Held != 5 || !strings.Contains(fmt.Sprint(r.scopes[whole0].Doubt), "403") {
					t.Errorf("without the right %d machines are left: %v", len(r.known), r.scopes[whole0].Doubt)
				}
				a.Show()
			}
			a.Delete(sub, "Büro 100%", "vm-0")
			if r.take(t, s); len(r.known) != 5 || r.has("vm-0") != nil || r.scopes[whole0].Doubt != nil {
				t.Errorf("%d machines are left: %v", len(r.known), r.scopes[whole0].Doubt)
			}
			a.DeleteScaleSet(sub, "Büro 100%", "Büro 100%-set")
			if r.take(t, s); len(r.known) != 3 || r.scopes[whole0].Doubt != nil {
				t.Errorf("%d machines are left: %v", len(r.known), r.scopes[whole0].Doubt)
			}
			for key, vm := range r.known {
				if faults := vm.Validate(); len(faults) > 0 || discovery.TidyID(key.ID) != key.ID {
					t.Errorf("%s is no ID of the registry: %v", key.ID, faults)
				}
			}
		})
	}
}

// TestIDsOfBeforeTheyWereEncoded are those of machines that are listed by their new ones, and
// go with them; of another nobody can ask what it is, and it stays.
func TestIDsOfBeforeTheyWereEncoded(t *testing.T) {
	for _, listing := range listings {
		t.Run(string(listing), func(t *testing.T) {
			a := azuretest.New(t)
			a.Put(azuretest.VM{Subscription: sub, Group: "Büro", Name: "vm-0", Power: "deallocated"})
			s, r := source(t, a, by(listing)), &registry{known: discovery.Known{}}
			for _, name := range []string{"vm-0", "vm-1"} {
				id := discovery.TidyID(whole0 + "/resourcegroups/büro/providers/microsoft.compute/virtualmachines/" + name)
				vm := mesh.VM{Source: "azure", ID: id, Name: name, Scope: whole0, State: mesh.VMRunning, Health: mesh.VMHealthUnknown}
				r.known[vm.Key()] = &vm
			}
			r.take(t, s)
			scope := r.scopes[whole0]
			if len(r.known) != 2 || scope.Held != 1 || r.has("vm-1") == nil || !strings.Contains(fmt.Sprint(scope.Doubt), "heddle discovery forget") {
				t.Fatalf("%d machines, %d held: %v", len(r.known), scope.Held, scope.Doubt)
			}
			if id := r.has("vm-0").ID; !strings.Contains(id, "/b%c3%bcro/") {
				t.Errorf("vm-0 has the ID %s", id)
			}
			calls := r.calls
			if r.take(t, source(t, a, by(listing))); r.calls != calls {
				t.Errorf("%d calls, and %d before", r.calls, calls)
			}
		})
	}
}

// TestAnIDThatIsTooLongForTheRegistry is of a machine that is listed as ever, and stays when
// it is not.
func TestAnIDThatIsTooLongForTheRegistry(t *testing.T) {
	for _, listing := range listings {
		t.Run(string(listing), func(t *testing.T) {
			a := azuretest.New(t)
			group := strings.Repeat("社", 80)
			a.Put(azuretest.VM{Subscription: sub, Group: group, Name: "vm"}, azuretest.VM{Subscription: sub, Group: "Front", Name: "front"})
			s, r := source(t, a, by(listing)), &registry{}
			r.take(t, s)
			calls := r.calls
			if r.take(t, s); len(r.known) != 2 || r.scopes[whole0].Doubt != nil || r.calls != calls {
				t.Fatalf("%d machines by %d calls: %v", len(r.known), r.calls, r.scopes[whole0].Doubt)
			}
			a.Show(sub + "/front")
			if r.take(t, s); len(r.known) != 2 || r.scopes[whole0].Held != 1 {
				t.Errorf("%d machines are left: %v", len(r.known), r.scopes[whole0].Doubt)
			}
		})
	}
}
