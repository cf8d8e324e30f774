package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func vm(id string) mesh.VM {
	return mesh.VM{Source: "az", ID: id, Name: id, PrivateIP: "10.0.0.1", State: mesh.VMRunning, Health: mesh.VMHealthUnknown}
}

// lead holds the office until the test ends or end is called.
func lead(t *testing.T, s *registry.Store, server string) (term registry.Term, lost <-chan struct{}, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	terms, over, done := make(chan registry.Term, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.Lead(ctx, "discovery", server, func(ctx context.Context, term registry.Term) {
			terms <- term
			<-ctx.Done()
			select {
			case <-over:
			default:
				close(over)
			}
		})
	}()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	select {
	case term = <-terms:
	case <-time.After(20 * time.Second):
		t.Fatalf("server %s was not given the office", server)
	}
	return term, over, end
}

// allVMs follows the mesh until it is whole, and gives its machines by key.
func allVMs(t *testing.T, s *registry.Store) map[string]mesh.VM {
	t.Helper()
	out, whole := map[string]mesh.VM{}, errors.New("that is all")
	err := s.Follow(t.Context(), 0, func(b registry.Batch) error {
		for _, c := range b.Changes {
			if c.VM != nil {
				out[c.VM.Key().String()] = *c.VM
			}
		}
		return whole
	})
	if !errors.Is(err, whole) {
		t.Fatal(err)
	}
	return out
}

// TestMachinesAreWrittenInATermAlone: a server that has lost its office, and does not
// know it yet, changes nothing any more.
func TestMachinesAreWrittenInATermAlone(t *testing.T) {
	s := openStore(t)
	first, _, end := lead(t, s, "one")
	var many []mesh.VM
	for i := range 250 {
		one := vm(fmt.Sprintf("rg/%03d", i))
		one.Tags = map[string]string{"note": strings.Repeat("x", 1000)}
		many = append(many, one)
	}
	if at, err := s.WriteVMs(t.Context(), first, many, nil); err != nil || at == 0 {
		t.Fatalf("at %d, %v", at, err)
	}
	if got := allVMs(t, s); len(got) != 250 || got["az/rg/007"].Meta.Source != "vms" || got["az/rg/007"].Tags["note"] == "" {
		t.Fatalf("%d machines, the eighth is %+v", len(got), got["az/rg/007"])
	}
	if err := s.WriteDiscovery(t.Context(), first, mesh.DiscoverySource{Name: "az", Server: "one", VMs: 250}); err != nil {
		t.Fatal(err)
	}
	end()
	second, _, _ := lead(t, s, "two")
	_, err := s.WriteVMs(t.Context(), first, nil, []mesh.VMKey{{Source: "az", ID: "rg/007"}})
	wantKind(t, err, mesh.KindConflict)
	wantKind(t, s.WriteDiscovery(t.Context(), first, mesh.DiscoverySource{Name: "az", Server: "one"}), mesh.KindConflict)
	if _, err := s.WriteVMs(t.Context(), second, nil, []mesh.VMKey{{Source: "az", ID: "rg/007"}, {Source: "az", ID: "never was"}}); err != nil {
		t.Fatal(err)
	}
	if got := allVMs(t, s); len(got) != 249 {
		t.Errorf("%d machines, want 249", len(got))
	}
	if all, err := s.Discovery(t.Context()); err != nil || len(all) != 1 || all[0].Server != "one" || all[0].VMs != 250 {
		t.Errorf("%+v, %v", all, err)
	}
	if at, err := s.WriteVMs(t.Context(), second, nil, nil); at != 0 || err != nil {
		t.Errorf("nothing to do is revision %d, %v", at, err)
	}
	bad := vm("x")
	bad.PrivateIP = "10.0.0.300"
	_, err = s.WriteVMs(t.Context(), second, []mesh.VM{bad}, nil)
	wantKind(t, err, mesh.KindInvalid)
}

// TestAnOfficeIsHeldByOneServerAtATime, the next takes over at once when it ends, and one
// whose lease is gone is told.
func TestAnOfficeIsHeldByOneServerAtATime(t *testing.T) {
	dir := t.TempDir()
	etcd, one := startEtcd(t, dir)
	two, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { two.Close() })
	_, _, end := lead(t, one, "one")
	order := make(chan string, 4)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		two.Lead(ctx, "discovery", "two", func(ctx context.Context, _ registry.Term) { order <- "two"; <-ctx.Done() })
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case who := <-order:
		t.Fatalf("%s has the office beside one", who)
	case <-time.After(500 * time.Millisecond): // a time in which nothing is to happen
	}
	began := time.Now()
	end()
	select {
	case <-order:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody took over")
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the next one took over after %s, as if the lease had had to end", took)
	}
}

// TestWhoCannotLeadSeeksTheOfficeEverLessOften: a server that may not write its roster gives
// the office up as soon as it has it.
func TestWhoCannotLeadSeeksTheOfficeEverLessOften(t *testing.T) {
	s := openStore(t)
	terms := 0
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	s.Lead(ctx, "discovery", "one", func(context.Context, registry.Term) { terms++ })
	if terms < 2 || terms > 12 {
		t.Errorf("it had the office %d times in four seconds, want ever less often", terms)
	}
}

// TestASourceKeepsTheMachinesOfAService: sets of a source are kept like those of a cluster.
func TestASourceKeepsTheMachinesOfAService(t *testing.T) {
	s := openStore(t)
	orders := service("orders")
	orders.Endpoints.VMs = &mesh.VMEndpoints{Sources: []string{"az"}}
	if _, err := s.PutService(t.Context(), orders, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	w := registry.Write{Author: "discovery", Source: "vms", Keeper: mesh.OfVMs("az")}
	if kept, err := s.KeepInstances(t.Context(), "orders", pods("a", "b"), w); err != nil || kept.Written != 2 {
		t.Fatalf("%+v, %v", kept, err)
	}
	if kept, err := s.KeepInstances(t.Context(), "orders", pods("b"), w); err != nil || kept.Removed != 1 || kept.Unchanged != 1 {
		t.Fatalf("%+v, %v", kept, err)
	}
	if got := stored(t, s, "orders"); len(got) != 1 || got["b"] != "vms/az" {
		t.Errorf("%v", got)
	}
	for keeper, form := range map[mesh.Keeper]string{"vms": "no keeper", "vms/az/more": "no keeper", "clouds/az": "no keeper", "vms/A": "no keeper"} {
		if fault := keeper.Fault(); !strings.Contains(fault, form) && keeper != "vms" {
			t.Errorf("%s: %q", keeper, fault)
		}
		w.Keeper = keeper
		_, err := s.KeepInstances(t.Context(), "orders", pods("b"), w)
		wantKind(t, err, mesh.KindInvalid)
	}
	if !slices.Equal([]string{mesh.Keeper("vms/az").VMSource(), mesh.Keeper("vms/az").Cluster(), mesh.Keeper("kubernetes/prod/ns/x").Cluster()}, []string{"az", "", "prod"}) {
		t.Error("a keeper is taken for another kind")
	}
}

// TestInstancesOfMachinesAreKeptInATermAlone: a server that stood still, and knows the
// mesh as it was, withdraws nothing when it goes on.
func TestInstancesOfMachinesAreKeptInATermAlone(t *testing.T) {
	s := openStore(t)
	if _, err := s.PutService(t.Context(), service("orders"), registry.Write{}); err != nil {
		t.Fatal(err)
	}
	first, _, end := lead(t, s, "one")
	in := func(term registry.Term) registry.Write {
		return registry.Write{Author: "discovery", Source: "vms", Keeper: mesh.OfVMs("az"), Term: term}
	}
	if _, err := s.KeepInstances(t.Context(), "orders", pods("a", "b"), in(first)); err != nil {
		t.Fatal(err)
	}
	end()
	second, _, _ := lead(t, s, "two")
	began := time.Now()
	_, err := s.KeepInstances(t.Context(), "orders", pods("c"), in(first))
	if wantKind(t, err, mesh.KindConflict); !strings.Contains(err.Error(), "the term of this server is over") || time.Since(began) > 2*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if got := stored(t, s, "orders"); len(got) != 2 {
		t.Errorf("it has %v", got)
	}
	if kept, err := s.KeepInstances(t.Context(), "orders", pods("b", "c"), in(second)); err != nil || kept.Written != 1 || kept.Removed != 1 {
		t.Errorf("%+v, %v", kept, err)
	}
}

// TestASourceIsWoken: a server that takes over hears of the request before, with its
// revision, and then of each.
func TestASourceIsWoken(t *testing.T) {
	s := openStore(t)
	wake := func() string {
		revision, err := s.WakeSource(t.Context(), "az")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint("az ", revision)
	}
	want := wake()
	woken := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Wakes(ctx, func(source string, revision int64) { woken <- fmt.Sprint(source, " ", revision) })
	}()
	defer func() { cancel(); <-done }()
	for range 3 {
		select {
		case got := <-woken:
			if got != want {
				t.Errorf("woken %s, want %s", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody heard of %s", want)
		}
		want = wake()
	}
}
