package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
	"github.com/heddle-mesh/heddle/internal/registry"
)

const (
	prod = mesh.Keeper("kubernetes/prod")
	test = mesh.Keeper("kubernetes/test")
)

func pods(ids ...string) []mesh.Instance {
	out := make([]mesh.Instance, len(ids))
	for i, id := range ids {
		out[i] = mesh.Instance{ID: mesh.InstanceID(id), Address: "10.0.0.1", Port: 80}
	}
	return out
}

func manyPods(count int, prefix string) []mesh.Instance {
	ids := make([]string, count)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return pods(ids...)
}

// stored lists a service's instances with who keeps them, "" for registered ones.
func stored(t *testing.T, s *registry.Store, service mesh.ServiceName) map[mesh.InstanceID]mesh.Keeper {
	t.Helper()
	list, _, err := s.Instances(t.Context(), service)
	if err != nil {
		t.Fatal(err)
	}
	out := map[mesh.InstanceID]mesh.Keeper{}
	for _, one := range list {
		out[one.ID] = one.Meta.Keeper
	}
	return out
}

func (w kept) check(t *testing.T, got mesh.Kept, err error) {
	t.Helper()
	if err != nil || got.Written != w.written || got.Removed != w.removed || got.Unchanged != w.unchanged || got.Revision == 0 {
		t.Fatalf("%+v, %v; want %+v", got, err, w)
	}
}

type kept struct{ written, removed, unchanged int }

func TestAKeepersSetIsWhatThereIs(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	keep := func(keeper mesh.Keeper, list []mesh.Instance) (mesh.Kept, error) {
		return s.KeepInstances(ctx, "orders", list, registry.Write{Keeper: keeper, Source: "kubernetes"})
	}
	if got, err := keep(prod, nil); err != nil || got != (mesh.Kept{}) {
		t.Fatalf("%+v, %v", got, err)
	}
	got, err := keep(prod, pods("a", "b"))
	kept{written: 2}.check(t, got, err)
	first := got.Revision
	got, err = keep(prod, pods("b", "a"))
	kept{unchanged: 2}.check(t, got, err)
	if got.Revision != first {
		t.Errorf("nothing changed, but the revision is %d instead of %d", got.Revision, first)
	}
	changed := pods("a", "c")
	changed[0].Health = mesh.Draining
	got, err = keep(prod, changed)
	kept{written: 2, removed: 1}.check(t, got, err)
	got, err = keep(test, pods("x"))
	kept{written: 1}.check(t, got, err)
	must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "vm")}, registry.DefaultTTL, registry.Write{}))
	if got, want := stored(t, s, "orders"), map[mesh.InstanceID]mesh.Keeper{"a": prod, "c": prod, "x": test, "vm": ""}; !maps.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	// An ID that is another's stays that one's, and holds up no other.
	got, err = keep(prod, pods("a", "x", "vm", "d"))
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Reason != mesh.ReasonTaken || len(refused.Faults) != 2 || got.Written != 2 || got.Removed != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, want := stored(t, s, "orders"), map[mesh.InstanceID]mesh.Keeper{"a": prod, "d": prod, "x": test, "vm": ""}; !maps.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	// Nobody else touches what is kept.
	key := mesh.InstanceKey{Service: "orders", ID: "a"}
	for what, try := range map[string]func() error{
		"register": func() error {
			_, err := s.Register(ctx, []mesh.Instance{instance("orders", "y"), instance("orders", "a")}, registry.DefaultTTL, registry.Write{})
			return err
		},
		"renew":      func() error { _, err := s.Renew(ctx, key, "abc"); return err },
		"drain":      func() error { _, err := s.SetHealth(ctx, key, "", mesh.Draining, registry.Write{}); return err },
		"deregister": func() error { return s.Deregister(ctx, key, "", registry.Write{}) },
	} {
		if err := try(); mesh.ReasonOf(err) != mesh.ReasonKept || !strings.Contains(err.Error(), "kubernetes/prod") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, want := len(stored(t, s, "orders")), 4; got != want {
		t.Errorf("%d instances, want %d", got, want)
	}
	// The declaration goes, and what is kept of it with it; what is registered stays.
	if err := s.DeleteService(ctx, "orders", registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if got, want := stored(t, s, "orders"), map[mesh.InstanceID]mesh.Keeper{"vm": ""}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if _, err := keep(prod, pods("a")); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("instances of a service that is not declared: %v", err)
	}
	if got, err := keep(prod, nil); err != nil || got != (mesh.Kept{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// What a deletion that was cut off has left is not the next service's.
func TestWhatIsLeftOfADeletedServiceIsNotTheNextOnes(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", pods("a"), registry.Write{Keeper: prod}))
	if _, err := raw(t, etcd).Delete(ctx, "/heddle/v1/services/orders"); err != nil {
		t.Fatal(err)
	}
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	if got := stored(t, s, "orders"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// A set of several transactions that was cut off, with a removal that was marked
// only, is completed by the next call.
func TestASetThatWasCutOffIsCompleted(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", manyPods(250, "old"), registry.Write{Keeper: prod}))
	client := raw(t, etcd)
	for i := range 100 { // as the first transaction of the next set leaves it
		key := fmt.Sprintf("/heddle/v1/instances/orders/old%d", i)
		got, err := client.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		marked := strings.Replace(string(got.Kvs[0].Value), `"port":80`, `"port":80,"health":"removed"`, 1)
		if _, err := client.Put(ctx, key, marked); err != nil {
			t.Fatal(err)
		}
	}
	want := append(manyPods(150, "new"), pods("old7")...)
	got, err := s.KeepInstances(ctx, "orders", want, registry.Write{Keeper: prod})
	kept{written: 151, removed: 249}.check(t, got, err)
	if there := stored(t, s, "orders"); len(there) != 151 {
		t.Errorf("%d instances", len(there))
	}
	got, err = s.KeepInstances(ctx, "orders", nil, registry.Write{Keeper: prod})
	kept{removed: 151}.check(t, got, err)
	left, err := client.Get(ctx, "/heddle/v1/kept-instances/orders/kubernetes/prod")
	if err != nil || len(left.Kvs) != 0 {
		t.Errorf("an empty set leaves %v, %v", left.Kvs, err)
	}
}

// A server that knows no keepers drains a kept instance, and loses who keeps it.
func TestAKeeperFindsWhatAnOlderServerMadeOfItsInstances(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	must[mesh.Kept](t)(s.KeepInstances(ctx, "orders", pods("a"), registry.Write{Keeper: prod}))
	older := `{"id":"a","service":"orders","address":"10.0.0.1","port":80,"health":"draining","ofANewerServer":true,"meta":{"author":"token:x","source":"rest"}}`
	if _, err := raw(t, etcd).Put(ctx, "/heddle/v1/instances/orders/a", older); err != nil {
		t.Fatal(err)
	}
	got, err := s.KeepInstances(ctx, "orders", pods("a"), registry.Write{Keeper: prod})
	kept{written: 1}.check(t, got, err)
	if got, want := stored(t, s, "orders"), map[mesh.InstanceID]mesh.Keeper{"a": prod}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Two servers that are given a set at once do not mix them.
func TestOfTwoSetsAtOnceOnePrevails(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	for round := range 5 {
		var group sync.WaitGroup
		for _, prefix := range []string{"a", "b"} {
			group.Go(func() {
				if _, err := s.KeepInstances(ctx, "orders", manyPods(250, prefix), registry.Write{Keeper: prod}); err != nil && mesh.KindOf(err) != mesh.KindConflict {
					t.Error(err)
				}
			})
		}
		group.Go(func() { // beside them, and in nobody's way
			if _, err := s.Register(ctx, []mesh.Instance{instance("orders", "vm")}, registry.DefaultTTL, registry.Write{}); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		count := map[byte]int{}
		for id := range stored(t, s, "orders") {
			count[id[0]]++
		}
		if count['v'] != 1 || count['a']+count['b'] != 250 || count['a'] != 0 && count['b'] != 0 {
			t.Fatalf("round %d: %v", round, count)
		}
	}
}

// Whatever keepers and registrations do, there is exactly the last set of each.
func TestEachKeepersLastSetIsWhatThereIs(t *testing.T) {
	s := openStore(t)
	run := 0
	propertytest.Check(t, func(rt *rapid.T) {
		run++
		name := mesh.ServiceName(fmt.Sprintf("s%d", run))
		if _, err := s.PutService(t.Context(), service(string(name)), registry.Write{}); err != nil {
			rt.Fatal(err)
		}
		ids := []string{"a", "b", "c", "d", "e", "f"}
		want := map[mesh.InstanceID]mesh.Keeper{}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			keeper := rapid.SampledFrom([]mesh.Keeper{prod, test, "kubernetes/dev", ""}).Draw(rt, "keeper")
			chosen := rapid.SliceOfDistinct(rapid.SampledFrom(ids), func(s string) string { return s }).Draw(rt, "ids")
			if keeper == "" {
				for _, id := range chosen {
					_, err := s.Register(t.Context(), []mesh.Instance{instance(string(name), id)}, registry.DefaultTTL, registry.Write{})
					if kept := want[mesh.InstanceID(id)] != ""; kept != (mesh.ReasonOf(err) == mesh.ReasonKept) || !kept && err != nil {
						rt.Fatalf("register %s over %v: %v", id, want, err)
					} else if !kept {
						want[mesh.InstanceID(id)] = ""
					}
				}
				continue
			}
			maps.DeleteFunc(want, func(id mesh.InstanceID, of mesh.Keeper) bool {
				return of == keeper && !slices.Contains(chosen, string(id))
			})
			taken := 0
			for _, id := range chosen {
				if of, there := want[mesh.InstanceID(id)]; there && of != keeper {
					taken++
					continue
				}
				want[mesh.InstanceID(id)] = keeper
			}
			_, err := s.KeepInstances(t.Context(), name, pods(chosen...), registry.Write{Keeper: keeper})
			for tries := 0; mesh.KindOf(err) == mesh.KindUnavailable && tries < 5; tries++ { // a disk that is slow; once more is the same
				_, err = s.KeepInstances(t.Context(), name, pods(chosen...), registry.Write{Keeper: keeper})
			}
			if (taken > 0) != (mesh.ReasonOf(err) == mesh.ReasonTaken) || taken == 0 && err != nil {
				rt.Fatalf("%d are taken: %v", taken, err)
			}
		}
		list, _, err := s.Instances(t.Context(), name)
		if err != nil {
			rt.Fatal(err)
		}
		got := map[mesh.InstanceID]mesh.Keeper{}
		for _, one := range list {
			got[one.ID] = one.Meta.Keeper
		}
		if !maps.Equal(got, want) {
			rt.Fatalf("%v, want %v", got, want)
		}
	})
}
