package registry_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestAChangeOfAKeptSetTouchesWhatItNames(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	write := registry.Write{Keeper: prod, Source: "kubernetes"}
	first := must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", manyPods(250, "p"), write))
	if first.Base == 0 {
		t.Fatalf("nothing can follow: %+v", first)
	}
	again := must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", manyPods(250, "p"), write))
	if again.Base != first.Base {
		t.Fatalf("%+v wrote nothing, after %+v", again, first)
	}
	change := mesh.KeptChange{Base: first.Base, Instances: manyPods(120, "q"), Removed: []mesh.InstanceID{"p1", "p2", "nobody"}}
	got, err := s.ChangeKept(ctx, "orders", change, write)
	kept{written: 120, removed: 2}.check(t, got, err)
	if left := len(stored(t, s, "orders")); left != 250+120-2 {
		t.Errorf("%d instances", left)
	}
	if _, err := s.ChangeKept(ctx, "orders", change, write); mesh.ReasonOf(err) != mesh.ReasonStale {
		t.Errorf("a change of what is not there any more: %v", err)
	}
	// What others have is theirs, and holds nothing up.
	must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "vm")}, registry.DefaultTTL, registry.Write{}))
	got, err = s.ChangeKept(ctx, "orders", mesh.KeptChange{Base: got.Base, Instances: pods("vm", "q0", "new"), Removed: []mesh.InstanceID{"p3"}}, write)
	if mesh.ReasonOf(err) != mesh.ReasonTaken || got.Written != 1 || got.Unchanged != 1 || got.Removed != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.ChangeKept(ctx, "orders", mesh.KeptChange{Base: got.Base, Instances: manyPods(mesh.MostKeptInstances, "x")}, write); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("more than a keeper may have: %v", err)
	}
	// With the last one the set ends: only a whole one follows.
	whole := must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", pods("a"), write))
	end := must[mesh.Kept](t)(s.ChangeKept(ctx, "orders", mesh.KeptChange{Base: whole.Base, Removed: []mesh.InstanceID{"a"}}, write))
	if end.Base != 0 || end.Removed != 1 {
		t.Errorf("%+v", end)
	}
	// A service that is declared anew has none of what was kept of it.
	whole = must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", pods("a", "b"), write))
	if err := s.DeleteService(ctx, "orders", registry.Write{}); err != nil {
		t.Fatal(err)
	}
	late := mesh.KeptChange{Base: whole.Base, Instances: pods("c")}
	if _, err := s.ChangeKept(ctx, "orders", late, write); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("the service is gone: %v", err)
	}
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	if _, err := s.ChangeKept(ctx, "orders", late, write); mesh.ReasonOf(err) != mesh.ReasonStale {
		t.Errorf("the set went with the service: %v", err)
	}
}

// An older server leaves nothing in the key by which calls notice each other.
func TestNoChangeFollowsASetOfAnOlderServer(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", pods("a", "b"), registry.Write{Keeper: prod}))
	put, err := raw(t, etcd).Put(ctx, "/heddle/v1/kept-instances/orders/kubernetes/prod", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChangeKept(ctx, "orders", mesh.KeptChange{Base: put.Header.Revision, Instances: pods("c")}, registry.Write{Keeper: prod}); mesh.ReasonOf(err) != mesh.ReasonStale {
		t.Errorf("%v", err)
	}
}

// Whatever whole sets and changes come in which order, from bases that hold and from
// such that do not: there is what those that were taken say.
func TestSetsAndChangesOfThemAddUp(t *testing.T) {
	s := openStore(t)
	run := 0
	propertytest.Check(t, func(rt *rapid.T) {
		run++
		name := mesh.ServiceName(fmt.Sprintf("c%d", run))
		if _, err := s.PutService(t.Context(), service(string(name)), registry.Write{}); err != nil {
			rt.Fatal(err)
		}
		ids := []string{"a", "b", "c", "d", "e"}
		want := map[mesh.InstanceID]mesh.Port{}
		bases := []int64{1}
		for range rapid.IntRange(1, 10).Draw(rt, "steps") {
			chosen := pods(rapid.SliceOfDistinct(rapid.SampledFrom(ids), func(s string) string { return s }).Draw(rt, "ids")...)
			for i := range chosen {
				chosen[i].Port = rapid.SampledFrom([]mesh.Port{80, 81}).Draw(rt, "port")
			}
			var kept mesh.Kept
			var err error
			if rapid.IntRange(0, 2).Draw(rt, "whole") == 0 {
				kept, err = s.KeepInstances(t.Context(), name, chosen, registry.Write{Keeper: prod})
				clear(want)
			} else {
				change := mesh.KeptChange{Base: bases[len(bases)-1], Instances: chosen}
				if rapid.IntRange(0, 3).Draw(rt, "of before") == 0 {
					change.Base = rapid.SampledFrom(bases).Draw(rt, "base")
				}
				for _, id := range ids {
					if !slices.ContainsFunc(chosen, func(one mesh.Instance) bool { return string(one.ID) == id }) && rapid.Bool().Draw(rt, "remove "+id) {
						change.Removed = append(change.Removed, mesh.InstanceID(id))
					}
				}
				kept, err = s.ChangeKept(t.Context(), name, change, registry.Write{Keeper: prod})
				if stale := change.Base != bases[len(bases)-1] || change.Base <= 1; stale {
					if err == nil {
						rt.Fatalf("%+v was taken; the base is %d", change, bases[len(bases)-1])
					}
					continue
				}
				for _, id := range change.Removed {
					delete(want, id)
				}
			}
			if err != nil {
				rt.Fatal(err)
			}
			for _, one := range chosen {
				want[one.ID] = one.Port
			}
			if (len(want) == 0) != (kept.Base == 0) {
				rt.Fatalf("%+v, of %d", kept, len(want))
			}
			bases = append(bases, kept.Base)
		}
		list, _, err := s.Instances(t.Context(), name)
		if err != nil {
			rt.Fatal(err)
		}
		got := map[mesh.InstanceID]mesh.Port{}
		for _, one := range list {
			got[one.ID] = one.Port
		}
		if !maps.Equal(got, want) {
			rt.Fatalf("%v, want %v", got, want)
		}
	})
}
