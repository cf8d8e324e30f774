package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func service(name mesh.ServiceName, dependencies ...mesh.ServiceName) mesh.Change {
	return mesh.Change{Service: &mesh.Service{Name: name, Owner: "team", Protocol: mesh.HTTP, Port: 80, Dependencies: dependencies}}
}

func instance(service mesh.ServiceName, id mesh.InstanceID) mesh.Change {
	return mesh.Change{Instance: &mesh.Instance{ID: id, Service: service, Address: "10.0.0.1", Port: 80}}
}

func expired(service mesh.ServiceName, id mesh.InstanceID) mesh.Change {
	c := instance(service, id)
	c.Deleted = true
	return c
}

func deregistered(service mesh.ServiceName, id mesh.InstanceID) []mesh.Change {
	c := instance(service, id)
	c.Instance.Health = mesh.Removed
	return []mesh.Change{c, expired(service, id)}
}

// endpoints lists a service's instances, the stale ones with a "?" behind.
func endpoints(c *catalog.Catalog, service mesh.ServiceName) []string {
	out := []string{}
	for _, i := range c.View().Instances(service) {
		id := string(i.ID)
		if i.Stale {
			id += "?"
		}
		out = append(out, id)
	}
	return out
}

func TestViewsDoNotChangeOnceHandedOut(t *testing.T) {
	c := catalog.New(catalog.Config{})
	c.Apply(1, true, []mesh.Change{service("web", "orders"), instance("orders", "a")})
	before := c.View()
	c.Apply(2, true, []mesh.Change{service("web"), instance("orders", "b"), expired("orders", "a")})
	if got := before.Dependents("orders"); len(got) != 1 {
		t.Errorf("the old view lost its dependents: %v", got)
	}
	if got := before.Instances("orders"); len(got) != 1 || got[0].ID != "a" {
		t.Errorf("the old view's instances changed: %v", got)
	}
	if got := c.View().Dependents("orders"); len(got) != 0 {
		t.Errorf("the new view still has dependents: %v", got)
	}
}

func TestFeedCoalescesWhileItsReaderIsBusyAndLosesNothing(t *testing.T) {
	c := catalog.New(catalog.Config{})
	feed := c.Subscribe()
	defer feed.Close()
	if _, changes, err := feed.Wait(t.Context()); err != nil || !changes.Empty() {
		t.Fatalf("the first Wait gives the present view: %v, %v", changes, err)
	}
	c.Apply(1, false, []mesh.Change{service("web")})
	c.Apply(2, true, []mesh.Change{instance("orders", "a")})
	view, changes, err := feed.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := catalog.Changes{
		Services:  map[mesh.ServiceName]struct{}{"web": {}},
		Instances: map[mesh.ServiceName]struct{}{"orders": {}},
		Synced:    true,
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if view.Revision() != 2 || !view.Synced() {
		t.Errorf("revision %d, synced %v", view.Revision(), view.Synced())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := feed.Wait(ctx); err == nil {
		t.Error("there was nothing to wake up for")
	}
}

func TestFeedEndsWhenClosed(t *testing.T) {
	c := catalog.New(catalog.Config{})
	feed := c.Subscribe()
	if _, _, err := feed.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if _, _, err := feed.Wait(t.Context()); !errors.Is(err, catalog.ErrClosed) {
		t.Errorf("got %v", err)
	}
	c.Apply(1, true, []mesh.Change{service("web")}) // must not reach or block on a closed feed
}

func TestDeregistrationEmptiesAServiceAndAMassExpiryDoesNot(t *testing.T) {
	now := time.Unix(0, 0)
	c := catalog.New(catalog.Config{Clock: func() time.Time { return now }})
	steps := []struct {
		name    string
		after   time.Duration
		changes []mesh.Change
		want    []string
	}{
		{"five register", 0, []mesh.Change{instance("orders", "1"), instance("orders", "2"), instance("orders", "3"), instance("orders", "4"), instance("orders", "5")}, []string{"1", "2", "3", "4", "5"}},
		{"one is deregistered", 0, deregistered("orders", "5"), []string{"1", "2", "3", "4"}},
		{"one dies", time.Second, []mesh.Change{expired("orders", "4")}, []string{"1", "2", "3"}},
		{"long after, another dies", time.Hour, []mesh.Change{expired("orders", "3")}, []string{"1", "2"}},
		{"at once two come and the others are cut off", time.Hour, []mesh.Change{instance("orders", "3"), instance("orders", "4"), expired("orders", "1"), expired("orders", "2"), expired("orders", "3")}, []string{"1?", "2?", "3?", "4"}},
		{"the last one too", time.Second, []mesh.Change{expired("orders", "4")}, []string{"1?", "2?", "3?", "4?"}},
		{"one comes back", time.Second, []mesh.Change{instance("orders", "1")}, []string{"1", "2?", "3?", "4?"}},
		{"a stale one is deregistered", time.Second, deregistered("orders", "2"), []string{"1", "3?", "4?"}},
		{"most are back, so the rest is gone", time.Second, []mesh.Change{instance("orders", "3")}, []string{"1", "3"}},
		{"the owner removes all", time.Second, slices.Concat(deregistered("orders", "1"), deregistered("orders", "3")), []string{}},
	}
	for i, step := range steps {
		now = now.Add(step.after)
		c.Apply(int64(i+1), true, step.changes)
		if diff := cmp.Diff(step.want, endpoints(c, "orders")); diff != "" {
			t.Fatalf("%s: %s", step.name, diff)
		}
	}
}

func TestTheOnlyInstanceStaysWhenItsLeaseEnds(t *testing.T) {
	c := catalog.New(catalog.Config{})
	c.Apply(1, true, []mesh.Change{instance("ledger", "1")})
	c.Apply(2, true, []mesh.Change{expired("ledger", "1")})
	if diff := cmp.Diff([]string{"1?"}, endpoints(c, "ledger")); diff != "" {
		t.Error(diff)
	}
}

// TestViewEqualsAPlainModel applies random changes and compares every answer of
// the view with one computed from scratch.
// What a keeper has is no lease that ended: whoever deleted it meant it.
func TestKeptInstancesAreNeverStale(t *testing.T) {
	c := catalog.New(catalog.Config{})
	kept := func(id mesh.InstanceID, deleted bool) mesh.Change {
		change := instance("orders", id)
		change.Instance.Meta.Keeper, change.Deleted = "kubernetes/prod", deleted
		return change
	}
	c.Apply(1, true, []mesh.Change{kept("a", false), kept("b", false), instance("orders", "vm")})
	c.Apply(2, true, []mesh.Change{kept("a", true), kept("b", true)})
	if got := endpoints(c, "orders"); !slices.Equal(got, []string{"vm"}) {
		t.Errorf("got %v", got)
	}
	c.Apply(3, true, []mesh.Change{expired("orders", "vm")})
	if got := endpoints(c, "orders"); !slices.Equal(got, []string{"vm?"}) {
		t.Errorf("the only registered one: %v", got)
	}
}

func TestViewEqualsAPlainModel(t *testing.T) {
	names := []mesh.ServiceName{"a", "b", "c", "d", "e"}
	propertytest.Check(t, func(t *rapid.T) {
		c := catalog.New(catalog.Config{})
		services := map[mesh.ServiceName][]mesh.ServiceName{}
		instances := map[string]bool{}
		for revision := range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "service")
			id := mesh.InstanceID(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "id")))
			var changes []mesh.Change
			switch rapid.IntRange(0, 3).Draw(t, "operation") {
			case 0:
				dependencies := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, rapid.ID).Draw(t, "dependencies")
				services[name] = dependencies
				changes = []mesh.Change{service(name, dependencies...)}
			case 1:
				delete(services, name)
				change := service(name)
				change.Deleted = true
				changes = []mesh.Change{change}
			case 2:
				instances[string(name)+"/"+string(id)] = true
				changes = []mesh.Change{instance(name, id)}
			case 3:
				delete(instances, string(name)+"/"+string(id))
				changes = deregistered(name, id)
			}
			c.Apply(int64(revision+1), true, changes)
		}
		compareWithModel(t, c.View(), names, services, instances)
	})
}

func compareWithModel(t *rapid.T, view *catalog.View, names []mesh.ServiceName, services map[mesh.ServiceName][]mesh.ServiceName, instances map[string]bool) {
	var listed []mesh.ServiceName
	for s := range view.Services() {
		listed = append(listed, s.Name)
	}
	if want := slices.Sorted(maps.Keys(services)); !slices.Equal(listed, want) || view.ServiceCount() != len(want) {
		t.Fatalf("services %v, want %v", listed, want)
	}
	var all []string
	for i := range view.AllInstances() {
		all = append(all, i.Key().String())
	}
	if want := slices.Sorted(maps.Keys(instances)); !slices.Equal(all, want) {
		t.Fatalf("instances %v, want %v", all, want)
	}
	for _, callee := range names {
		var want []mesh.ServiceName
		for _, caller := range names {
			if slices.Contains(services[caller], callee) {
				want = append(want, caller)
			}
		}
		if got := view.Dependents(callee); !slices.Equal(got, want) {
			t.Fatalf("dependents of %s: %v, want %v", callee, got, want)
		}
	}
}

func BenchmarkApplyOneInstanceAmong(b *testing.B) {
	for _, size := range []int{500, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := catalog.New(catalog.Config{})
			var changes []mesh.Change
			for i := range size {
				name := mesh.ServiceName(fmt.Sprintf("s%d", i))
				changes = append(changes, service(name), instance(name, "1"), instance(name, "2"))
			}
			c.Apply(1, true, changes)
			one := []mesh.Change{instance("s7", "1")}
			b.ReportAllocs()
			for b.Loop() {
				c.Apply(2, true, one)
			}
		})
	}
}
