package placement_test

import (
	"context"
	"errors"
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
	writes int   // guarded by mu
	fails  error // guarded by mu
}

func (k *keeper) Keep(_ context.Context, service mesh.ServiceName, source string, list []mesh.Instance) (int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writes++
	if k.fails != nil {
		return 0, k.fails
	}
	var changes []mesh.Change
	wanted := map[mesh.InstanceID]bool{}
	for _, one := range list {
		one.Meta.Keeper = mesh.OfVMs(source)
		wanted[one.ID] = true
		changes = append(changes, mesh.Change{Instance: &one})
	}
	for _, one := range k.world.View().Instances(service) {
		if !wanted[one.ID] && one.Meta.Keeper == mesh.OfVMs(source) {
			changes = append(changes, mesh.Change{Instance: one, Deleted: true})
		}
	}
	k.world.put(changes...)
	return k.world.revision, nil
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
	})
}
