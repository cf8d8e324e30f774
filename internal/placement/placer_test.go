package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
)

// keeper writes sets into the world, as the registry does, and counts.
type keeper struct {
	mu     sync.Mutex
	world  *world
	writes int                        // guarded by mu, as all below: all of them
	whole  int                        // of whole sets
	bases  map[mesh.ServiceName]int64 // of each service's set
	fails  error
}

func (k *keeper) Keep(_ context.Context, service mesh.ServiceName, source string, list []mesh.Instance) (placement.Written, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.whole++
	wanted := map[mesh.InstanceID]bool{}
	for _, one := range list {
		wanted[one.ID] = true
	}
	var removed []mesh.InstanceID
	for _, one := range k.world.View().Instances(service) {
		if !wanted[one.ID] && one.Meta.Keeper == mesh.OfVMs(source) {
			removed = append(removed, one.ID)
		}
	}
	return k.write(service, source, list, removed)
}

func (k *keeper) Change(_ context.Context, service mesh.ServiceName, source string, change mesh.KeptChange) (placement.Written, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if change.Base != k.bases[service] {
		return placement.Written{}, errors.New("the set has been written since")
	}
	return k.write(service, source, change.Instances, change.Removed)
}

func (k *keeper) write(service mesh.ServiceName, source string, list []mesh.Instance, removed []mesh.InstanceID) (placement.Written, error) {
	k.writes++
	if k.fails != nil {
		return placement.Written{}, k.fails
	}
	var changes []mesh.Change
	for _, one := range list {
		one.Meta.Keeper = mesh.OfVMs(source)
		changes = append(changes, mesh.Change{Instance: &one})
	}
	for _, id := range removed {
		changes = append(changes, mesh.Change{Instance: &mesh.Instance{Service: service, ID: id}, Deleted: true})
	}
	k.world.put(changes...)
	if k.bases == nil {
		k.bases = map[mesh.ServiceName]int64{}
	}
	k.bases[service] = k.world.revision
	return placement.Written{Revision: k.world.revision, Base: k.world.revision}, nil
}

func (k *keeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.writes
}

func (k *keeper) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails = err
}

func addresses(w *world) []string {
	var out []string
	for _, one := range w.View().Instances("orders") {
		out = append(out, one.Address)
	}
	slices.Sort(out)
	return out
}

// TestAPlacerKeepsInstancesWhatIsDeclared follows machines, declarations and what
// somebody else does to instances, and writes nothing that is as it should be.
func TestAPlacerKeepsInstancesWhatIsDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.put(orders(fromAzure), machine("a", nil))
		k := &keeper{world: w}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			placement.New(placement.Config{Catalog: w.Catalog, Keeper: k}).Run(ctx)
		}()
		defer func() { cancel(); <-done }()
		before := 0
		expect := func(what string, writes int, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := addresses(w); !slices.Equal(got, want) {
				t.Fatalf("%s: instances at %v, want %v", what, got, want)
			}
			if n := k.count(); n != before+writes {
				t.Fatalf("%s: %d writes, want %d", what, n-before, writes)
			}
			before = k.count()
		}
		at := func(address string) func(*mesh.VM) { return func(v *mesh.VM) { v.PrivateIP = address } }
		expect("at first", 1, "10.0.0.7")
		w.put(machine("b", at("10.0.0.8")))
		expect("a machine more", 1, "10.0.0.7", "10.0.0.8")
		w.put(machine("b", func(v *mesh.VM) { at("10.0.0.8")(v); v.Tags = map[string]string{"patched": "today"} }))
		expect("a tag that nobody asks for", 0, "10.0.0.7", "10.0.0.8")
		w.put(mesh.Change{Service: &mesh.Service{Name: "other", Protocol: mesh.HTTP, Port: 80}})
		expect("another service", 0, "10.0.0.7", "10.0.0.8")
		for _, one := range w.View().Instances("orders")[:1] {
			w.put(mesh.Change{Instance: one, Deleted: true})
		}
		expect("somebody deletes an instance", 1, "10.0.0.7", "10.0.0.8")
		w.put(mesh.Change{Instance: &mesh.Instance{ID: "self", Service: "orders", Address: "10.0.0.8", Port: 15006}})
		expect("one registers itself", 1, "10.0.0.7", "10.0.0.8")
		if list := w.View().Instances("orders"); len(list) != 2 {
			t.Fatalf("the machine is there twice: %d instances", len(list))
		}
		k.fail(errors.New("etcd is away"))
		w.put(machine("a", at("10.0.0.9")))
		synctest.Wait()
		if k.count() == before {
			t.Fatal("nothing was tried")
		}
		k.fail(nil)
		time.Sleep(3 * time.Second)
		before = k.count()
		expect("once it can be written", 0, "10.0.0.8", "10.0.0.9")
		time.Sleep(time.Minute)
		expect("nothing changed for a minute", 0, "10.0.0.8", "10.0.0.9")
		w.put(orders(mesh.VMEndpoints{Sources: []string{"other"}}))
		expect("the declaration drops the source", 1, "10.0.0.8")
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.whole != 3 { // the first, and what could not be written, and then could
			t.Errorf("%d whole sets were written, want 3", k.whole)
		}
	})
}

// TestAPlacerComesToWhatPlaceSays, whatever happens in whatever order: it looks only at
// what a change concerns, and nothing may be left out by that.
func TestAPlacerComesToWhatPlaceSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
		w := newWorld()
		w.put(orders(fromAzure))
		k, cache := &keeper{world: w}, &placement.Cache{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			placement.New(placement.Config{Catalog: w.Catalog, Keeper: k}).Run(ctx)
		}()
		defer func() { cancel(); <-done }()
		for step := range 2000 {
			what := chance(random, w)
			k.mu.Lock()
			w.put(what...)
			k.mu.Unlock()
			synctest.Wait()
			if got, want := fmt.Sprint(cache.Of(w.View()).List, cache.Of(w.View()).Sets), (*placement.Cache)(nil).Of(w.View()); got != fmt.Sprint(want.List, want.Sets) {
				t.Fatalf("seed %d, step %d, after %+v: the cache has\n%s\nwant\n%v", seed, step, what, got, want.List)
			}
			for set, want := range placement.Place(w.View()).Sets {
				var got []mesh.Instance
				for _, one := range w.View().Instances(set.Service) {
					if one.Meta.Keeper == mesh.OfVMs(set.Source) {
						plain := *one
						plain.Meta = mesh.Meta{}
						got = append(got, plain)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("seed %d, step %d, after %+v: %v has\n%v\nwant\n%v", seed, step, what, set, got, want)
				}
			}
		}
	})
}

// chance is something that may happen to a mesh.
func chance(random *rand.Rand, w *world) []mesh.Change {
	names := []mesh.ServiceName{"orders", "bills", "pay"}
	name := names[random.IntN(len(names))]
	id := fmt.Sprint("vm-", random.IntN(8))
	switch random.IntN(10) {
	case 0:
		c := orders(mesh.VMEndpoints{Sources: [][]string{{"az"}, {"other"}, {"az", "other"}}[random.IntN(3)]})
		if c.Service.Name = name; random.IntN(3) == 0 {
			c.Service.Endpoints.VMs.Tags = map[string]string{"role": "web"}
		}
		return []mesh.Change{c}
	case 1:
		if s, is := w.View().Service(name); is {
			return []mesh.Change{{Service: s, Deleted: true}}
		}
	case 2:
		if v, is := w.View().VM(mesh.VMKey{Source: "az", ID: id}); is {
			return []mesh.Change{{VM: v, Deleted: true}}
		}
	case 3:
		return []mesh.Change{{Instance: &mesh.Instance{ID: "self", Service: name, Address: fmt.Sprint("10.0.0.", random.IntN(4)), Port: 1, Health: []mesh.Health{"", mesh.Removed}[random.IntN(2)]}}}
	case 4:
		if list := w.View().Instances(name); len(list) > 0 {
			return []mesh.Change{{Instance: list[random.IntN(len(list))], Deleted: true}}
		}
	}
	return []mesh.Change{machine(id, func(v *mesh.VM) {
		v.Source = []string{"az", "az", "other"}[random.IntN(3)]
		v.PrivateIP = fmt.Sprint("10.0.0.", random.IntN(4))
		v.State = []mesh.VMState{mesh.VMRunning, mesh.VMRunning, mesh.VMStopping, mesh.VMDeallocated}[random.IntN(4)]
		v.Tags = []map[string]string{nil, {"Role": "web"}, {"role": "db"}}[random.IntN(3)]
		v.Runs = nil
		for _, one := range names {
			if random.IntN(2) == 0 {
				v.Runs = append(v.Runs, mesh.VMService{Name: one, Port: mesh.Port(random.IntN(2))})
			}
		}
	})}
}
