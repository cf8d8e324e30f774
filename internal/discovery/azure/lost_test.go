package azure_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// registry is what the mesh has of a source, from listing to listing.
type registry struct {
	known  discovery.Known
	scopes map[string]discovery.Scope
	calls  int
}

// take lists, and keeps what is listed, as a registry does. A scope that failed keeps all.
func (r *registry) take(t testing.TB, s *azure.Source) {
	t.Helper()
	listing, err := s.List(t.Context(), nil, r.known)
	if err != nil {
		t.Fatal(err)
	}
	before := r.known
	r.known, r.scopes, r.calls = discovery.Known{}, map[string]discovery.Scope{}, listing.Calls
	for _, scope := range listing.Scopes {
		r.scopes[scope.Name] = scope
		for _, vm := range scope.VMs {
			vm.Source, vm.Scope = "azure", scope.Name
			r.known[vm.Key()] = &vm
		}
		for key, vm := range before {
			if vm.Scope == scope.Name && scope.Err != nil {
				r.known[key] = vm
			}
		}
	}
}

// has gives a machine by its name, and that of its scale set if it is in one.
func (r *registry) has(name string) *mesh.VM {
	for _, vm := range r.known {
		if vm.Name == name {
			return vm
		}
	}
	return nil
}

// twoGroups has three machines and a uniform scale set of two in each of two groups.
func twoGroups(t testing.TB) *azuretest.Azure {
	t.Helper()
	a := azuretest.New(t)
	for g, group := range []string{"Front", "Back"} {
		for i := range 3 {
			a.Put(azuretest.VM{Subscription: sub, Group: group, Name: fmt.Sprintf("%s-%d", group, i), NICs: []azuretest.NIC{azuretest.Address(fmt.Sprintf("10.%d.0.%d", g, i+1), "")}})
		}
		a.PutScaleSet(setOfTwo(group, 2))
	}
	return a
}

func setOfTwo(group string, size int) azuretest.ScaleSet {
	set := azuretest.ScaleSet{Subscription: sub, Group: group, Name: group + "-set", Tags: map[string]string{"heddle-service": "orders:8080"}}
	for i := range size {
		set.Instances = append(set.Instances, azuretest.VM{Name: fmt.Sprint(i), NICs: []azuretest.NIC{azuretest.Address(fmt.Sprintf("10.9.%d.%d", len(group), i+1), "")}})
	}
	return set
}

const whole0 = "subscriptions/00000000-0000-0000-0000-00000000000a"

func by(listing azure.Listing) func(*azure.Config) {
	return func(cfg *azure.Config) { cfg.Listing = listing }
}

// TestWhatMayNotBeReadAnyMoreStays: who loses the right to read a group is answered 200 with
// what is in the others. The rest of the subscription goes on, and what is deleted there
// is removed.
func TestWhatMayNotBeReadAnyMoreStays(t *testing.T) {
	for _, listing := range listings {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", listing, restarted), func(t *testing.T) {
				a := twoGroups(t)
				s, r := source(t, a, by(listing)), &registry{}
				r.take(t, s)
				if len(r.known) != 10 {
					t.Fatalf("there are %d machines", len(r.known))
				}
				a.Show(sub + "/Front")
				a.Delete(sub, "Front", "Front-0")
				a.Change(sub, "Front", "Front-1", func(vm *azuretest.VM) { vm.Power = "deallocated" })
				if restarted {
					s = source(t, a, by(listing))
				}
				for range 3 {
					r.take(t, s)
				}
				scope := r.scopes[whole0]
				if len(r.known) != 9 || r.has("Front-0") != nil || r.has("Front-1").State != mesh.VMDeallocated || scope.Held != 5 {
					t.Errorf("%d machines, %d held; Front-1 is %+v", len(r.known), scope.Held, r.has("Front-1"))
				}
				for _, want := range []string{"5 machines are not listed any more", "403 AuthorizationFailed", "virtualMachines/read' over scope", "Reader", "resourceGroups"} {
					if scope.Doubt == nil || !strings.Contains(scope.Doubt.Error(), want) {
						t.Errorf("%v does not say %q", scope.Doubt, want)
					}
				}
				if vm := r.has("Back-1"); vm.PrivateIP != "10.1.0.2" || vm.State != mesh.VMRunning || strings.Count(strings.Join(vm.Faults, "\n"), "may not be gone") != 1 {
					t.Errorf("what stays is %+v", vm)
				}
				a.Show()
				if r.take(t, s); len(r.known) != 9 || r.scopes[whole0].Doubt != nil || len(r.has("Back-1").Faults) != 0 {
					t.Errorf("with its right again: %d machines, %v, %+v", len(r.known), r.scopes[whole0].Doubt, r.has("Back-1"))
				}
			})
		}
	}
}

// TestWhatIsDeletedIsRemovedAtOnce, for one call a machine at most, and none while nothing
// goes.
func TestWhatIsDeletedIsRemovedAtOnce(t *testing.T) {
	for _, listing := range listings {
		for name, c := range map[string]struct {
			change func(*azuretest.Azure)
			left   int
			calls  map[azure.Listing]int // beyond those of a listing
		}{
			"nothing":       {func(*azuretest.Azure) {}, 10, nil},
			"two machines":  {func(a *azuretest.Azure) { a.Delete(sub, "Front", "Front-0"); a.Delete(sub, "Front", "Front-2") }, 8, map[azure.Listing]int{azure.ByARM: 2, azure.ByResourceGraph: 3}},
			"an instance":   {func(a *azuretest.Azure) { a.PutScaleSet(setOfTwo("Front", 1)) }, 9, map[azure.Listing]int{azure.ByResourceGraph: 2}},
			"all instances": {func(a *azuretest.Azure) { a.PutScaleSet(setOfTwo("Front", 0)) }, 8, map[azure.Listing]int{azure.ByResourceGraph: 2}},
			"a set":         {func(a *azuretest.Azure) { a.DeleteScaleSet(sub, "Front", "Front-set") }, 8, map[azure.Listing]int{azure.ByARM: -1, azure.ByResourceGraph: 2}},
			"a group as a whole": {func(a *azuretest.Azure) {
				for i := range 3 {
					a.Delete(sub, "Front", fmt.Sprintf("Front-%d", i))
				}
				a.DeleteScaleSet(sub, "Front", "Front-set")
			}, 5, map[azure.Listing]int{azure.ByARM: 2, azure.ByResourceGraph: 5}},
		} {
			t.Run(fmt.Sprintf("%s by %s", name, listing), func(t *testing.T) {
				a := twoGroups(t)
				s, r := source(t, a, by(listing)), &registry{}
				r.take(t, s)
				before := r.calls
				c.change(a)
				r.take(t, s)
				if scope := r.scopes[whole0]; len(r.known) != c.left || scope.Err != nil || scope.Doubt != nil || !scope.Proven {
					t.Errorf("%d machines are left, want %d; %v %v", len(r.known), c.left, scope.Err, scope.Doubt)
				}
				if extra := r.calls - before; extra != c.calls[listing] {
					t.Errorf("%d calls more than before, want %d", extra, c.calls[listing])
				}
			})
		}
	}
}

// TestManyThatGoAreAskedForByAFew: the right to read their group is proven for all of them.
func TestManyThatGoAreAskedForByAFew(t *testing.T) {
	for _, listing := range listings {
		t.Run(string(listing), func(t *testing.T) {
			a := azuretest.New(t)
			for i := range 60 {
				a.Put(azuretest.VM{Subscription: sub, Group: []string{"Front", "Back"}[i%2], Name: fmt.Sprintf("vm-%d", i)})
			}
			s, r := source(t, a, by(listing)), &registry{}
			r.take(t, s)
			for i := range 58 {
				a.Delete(sub, []string{"Front", "Back"}[i%2], fmt.Sprintf("vm-%d", i))
			}
			a.Show(sub + "/Front")
			a.Calls()
			if r.take(t, s); len(r.known) != 31 || r.has("vm-58") == nil {
				t.Errorf("%d machines are left, want all 30 of what may not be read and one", len(r.known))
			}
			if asked := a.Calls()[azuretest.OneVM]; asked != 11 {
				t.Errorf("%d machines were asked for, want ten where they may be read, and one where not", asked)
			}
			a.Show()
			if r.take(t, s); len(r.known) != 2 {
				t.Errorf("%d machines are left, want 2", len(r.known))
			}
		})
	}
}

// TestAListThatIsNotWholeRemovesNothing, whatever the reason: what it lacks and is there, stays.
func TestAListThatIsNotWholeRemovesNothing(t *testing.T) {
	for _, listing := range listings {
		for _, gone := range []string{"/virtualmachines/front-", "/virtualmachinescalesets/front-set", "/virtualmachinescalesets/front-set/virtualmachines/"} {
			t.Run(fmt.Sprintf("%s of %s", gone, listing), func(t *testing.T) {
				a := twoGroups(t)
				s, r := source(t, a, by(listing)), &registry{}
				r.take(t, s)
				a.Omit(func(api, id string) bool { return api != azuretest.Instances && strings.Contains(id, gone) })
				if r.take(t, s); len(r.known) != 10 {
					t.Errorf("%d machines are left: %v", len(r.known), r.scopes[whole0].Doubt)
				}
				if vm := r.has("Front-set_0"); vm == nil || len(vm.Runs) != 1 {
					t.Errorf("an instance has not what it ran: %+v", vm)
				}
			})
		}
	}
}

// TestADoubtThatFailsIsADoubt: whatever Azure answers to who asks for what is missing, only
// that it is not there removes it.
func TestADoubtThatFailsIsADoubt(t *testing.T) {
	for name, failed := range map[string]azuretest.Failure{
		"throttled":          {Status: http.StatusTooManyRequests, Code: "TooManyRequests", RetryAfter: 10 * time.Minute},
		"broken":             {Status: http.StatusInternalServerError, Code: "InternalServerError"},
		"not its token":      {Status: http.StatusUnauthorized, Code: "InvalidAuthenticationToken"},
		"no such page":       {Status: http.StatusNotFound, Body: "<html>"},
		"not in this tenant": {Status: http.StatusNotFound, Code: "SubscriptionNotFound"},
		"no JSON":            {Status: http.StatusOK, Body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			a := twoGroups(t)
			s, r := source(t, a, by(azure.ByResourceGraph)), &registry{}
			azure.Hasten(s)
			r.take(t, s)
			a.Delete(sub, "Front", "Front-0")
			a.PutScaleSet(setOfTwo("Back", 1))
			a.Fail(func(asked azuretest.Request) *azuretest.Failure {
				if asked.API == azuretest.OneVM || asked.API == azuretest.Instances {
					return &failed
				}
				return nil
			})
			if r.take(t, s); len(r.known) != 10 || r.scopes[whole0].Held != 2 {
				t.Errorf("%d machines are left: %v", len(r.known), r.scopes[whole0].Doubt)
			}
			a.Fail(nil)
			if r.take(t, s); len(r.known) != 8 {
				t.Errorf("%d machines are left when it answers again", len(r.known))
			}
		})
	}
}

// TestWhatIsHeldLacksNothingOfGroups: a scope that fails is not asked about, and one beside
// it is.
func TestWhatIsHeldLacksNothingOfGroups(t *testing.T) {
	a := twoGroups(t)
	s := source(t, a, func(cfg *azure.Config) {
		cfg.Listing, cfg.Subscriptions[0].ResourceGroups = azure.ByARM, []string{"front", "back"}
	})
	r := &registry{}
	r.take(t, s)
	a.Show(sub + "/front")
	a.Delete(sub, "Front", "Front-0")
	r.take(t, s)
	front, back := r.scopes[whole0+"/resourcegroups/front"], r.scopes[whole0+"/resourcegroups/back"]
	if front.Doubt != nil || len(front.VMs) != 4 || back.Held != 5 || len(back.VMs) != 5 {
		t.Errorf("front: %v, %d; back: %v, %d of %d held", front.Doubt, len(front.VMs), back.Doubt, back.Held, len(back.VMs))
	}
}
