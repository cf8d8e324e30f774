package placement_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
)

// faulty is a keeper that fails for some services, and never answers for others.
type faulty struct {
	*keeper
	mu    sync.Mutex
	fails map[mesh.ServiceName]error // guarded by mu, as all below
	hangs map[mesh.ServiceName]bool
	tries map[mesh.ServiceName]int
	told  []mesh.UnwrittenSet
}

func (f *faulty) try(ctx context.Context, service mesh.ServiceName) error {
	f.mu.Lock()
	f.tries[service]++
	err, hangs := f.fails[service], f.hangs[service]
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (f *faulty) Keep(ctx context.Context, service mesh.ServiceName, source string, list []mesh.Instance) (placement.Written, error) {
	if err := f.try(ctx, service); err != nil && mesh.ReasonOf(err) != mesh.ReasonTaken {
		return placement.Written{}, err
	} else if err != nil {
		written, _ := f.keeper.Keep(ctx, service, source, list[1:])
		return written, err
	}
	return f.keeper.Keep(ctx, service, source, list)
}

func (f *faulty) Change(ctx context.Context, service mesh.ServiceName, source string, change mesh.KeptChange) (placement.Written, error) {
	if err := f.try(ctx, service); err != nil {
		return placement.Written{}, err
	}
	return f.keeper.Change(ctx, service, source, change)
}

func (f *faulty) set(service mesh.ServiceName, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[service] = err
}

func (f *faulty) tried(service mesh.ServiceName) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries[service]
}

func (f *faulty) faults() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, one := range f.told {
		out = append(out, fmt.Sprintf("%s of %s: %s", one.Service, one.Source, one.Error))
	}
	return strings.Join(out, "\n")
}

// places runs a placer in a world until the test ends.
func places(t *testing.T, w *world) (*faulty, *prometheus.Registry) {
	t.Helper()
	f := &faulty{keeper: &keeper{world: w}, fails: map[mesh.ServiceName]error{}, hangs: map[mesh.ServiceName]bool{}, tries: map[mesh.ServiceName]int{}}
	metrics := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		placement.New(placement.Config{Catalog: w.Catalog, Keeper: f, Metrics: placement.NewMetrics(metrics), Faults: func(list []mesh.UnwrittenSet) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.told = list
		}}).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f, metrics
}

func named(name string) mesh.Change {
	s := orders(fromAzure)
	s.Service.Name = mesh.ServiceName(name)
	return s
}

func runs(id, address string, service string) mesh.Change {
	return machine(id, func(v *mesh.VM) {
		v.PrivateIP, v.Runs = address, []mesh.VMService{{Name: mesh.ServiceName(service), Port: 8080}}
	})
}

func at(w *world, service mesh.ServiceName) string {
	var out []string
	for _, one := range w.View().Instances(service) {
		out = append(out, one.Address)
	}
	return strings.Join(out, " ")
}

// TestWhatCannotBeWrittenHoldsUpNobody: each service that fails is tried ever less often,
// is told of, and is written once it can be; others are written at once all the time,
// also while some never get an answer.
func TestWhatCannotBeWrittenHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		f, metrics := places(t, w)
		f.set("bills", errors.New("etcdserver: permission denied"))
		for i := range 5 { // of eight that are written at a time
			name := fmt.Sprint("slow-", i)
			f.hangs[mesh.ServiceName(name)] = true
			w.put(named(name), runs("vm-"+name, fmt.Sprint("10.0.1.", i+1), name))
		}
		w.put(named("orders"), named("bills"), runs("a", "10.0.0.1", "orders"), runs("b", "10.0.0.2", "bills"))
		synctest.Wait()
		if at(w, "orders") != "10.0.0.1" || at(w, "bills") != "" {
			t.Fatalf("orders has %q, bills %q", at(w, "orders"), at(w, "bills"))
		}
		if got := f.faults(); got != "bills of az: etcdserver: permission denied" {
			t.Errorf("told is %q", got)
		}
		if err := testutil.GatherAndCompare(metrics, strings.NewReader("# HELP heddle_placement_failing Services, by source of machines, whose machines could not be written as their instances: they stay what they were.\n# TYPE heddle_placement_failing gauge\nheddle_placement_failing 1\n"), "heddle_placement_failing"); err != nil {
			t.Error(err)
		}
		for i := range 50 {
			address := fmt.Sprint("10.0.2.", i)
			k := f.keeper
			k.mu.Lock()
			w.put(runs("a", address, "orders"), runs("b", address, "bills"))
			k.mu.Unlock()
			synctest.Wait()
			if at(w, "orders") != address {
				t.Fatalf("orders has %q, want %s", at(w, "orders"), address)
			}
		}
		if n := f.tried("bills"); n != 1 {
			t.Errorf("bills was tried %d times although its pause is not over", n)
		}
		time.Sleep(10 * time.Minute)
		if n := f.tried("bills"); n < 8 || n > 20 {
			t.Errorf("bills was tried %d times in ten minutes, want at least once a minute and ever less often", n)
		}
		f.set("bills", nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if at(w, "bills") != "10.0.2.49" || f.faults() != "" {
			t.Errorf("bills has %q, told is %q", at(w, "bills"), f.faults())
		}
		if err := testutil.GatherAndCompare(metrics, strings.NewReader("# HELP heddle_placement_failing Services, by source of machines, whose machines could not be written as their instances: they stay what they were.\n# TYPE heddle_placement_failing gauge\nheddle_placement_failing 0\n"), "heddle_placement_failing"); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatFailedWhileEtcdWasAwayIsWrittenAtOnce when etcd takes a write again, two at a time;
// what fails although etcd takes writes is not tried for each of these.
func TestWhatFailedWhileEtcdWasAwayIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		f, _ := places(t, w)
		all := []mesh.Change{}
		for i := range 5 {
			name := fmt.Sprint("bills-", i)
			f.set(mesh.ServiceName(name), mesh.Unavailable(nil, "etcd is away"))
			all = append(all, named(name), runs(name, fmt.Sprint("10.0.0.", i+1), name))
		}
		w.put(all...)
		time.Sleep(10*time.Minute + 7*time.Second)
		for i := range 4 {
			f.set(mesh.ServiceName(fmt.Sprint("bills-", i)), nil)
		}
		w.put(named("orders"), runs("a", "10.0.1.1", "orders"))
		synctest.Wait()
		for i := range 4 {
			if name := mesh.ServiceName(fmt.Sprint("bills-", i)); at(w, name) == "" {
				t.Errorf("%s waits although etcd takes writes", name)
			}
		}
		before := f.tried("bills-4")
		for i := range 20 {
			w.put(runs("a", fmt.Sprint("10.0.2.", i), "orders"))
			synctest.Wait()
		}
		if n := f.tried("bills-4") - before; n > 1 {
			t.Errorf("what has a fault of its own was tried %d times for 20 writes of others", n)
		}
	})
}

// TestAChangeShortensTheWait of a set that could not be written.
func TestAChangeShortensTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		f, _ := places(t, w)
		f.set("bills", errors.New("etcdserver: permission denied"))
		w.put(named("bills"), runs("b", "10.0.0.1", "bills"))
		for n := 0; ; { // until it was just tried, and rests for a minute
			time.Sleep(time.Second)
			if now := f.tried("bills"); now >= 8 && now > n {
				break
			} else {
				n = now
			}
		}
		f.set("bills", nil)
		w.put(runs("b", "10.0.0.2", "bills"))
		synctest.Wait()
		if at(w, "bills") != "" {
			t.Error("it was tried at once: who changes all the time would be tried all the time")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if at(w, "bills") != "10.0.0.2" {
			t.Error("it waits although it changed")
		}
	})
}

// TestAnIDThatSomebodyElseHas keeps one machine out, and no other change of the set waits
// for that.
func TestAnIDThatSomebodyElseHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		f, _ := places(t, w)
		f.set("orders", &mesh.Error{Kind: mesh.KindConflict, Reason: mesh.ReasonTaken, Message: "1 of 2 have IDs that others have"})
		w.put(named("orders"), runs("a", "10.0.0.1", "orders"), runs("b", "10.0.0.2", "orders"))
		synctest.Wait()
		if at(w, "orders") != "10.0.0.2" || !strings.Contains(f.faults(), "IDs that others have") {
			t.Fatalf("orders has %q, told is %q", at(w, "orders"), f.faults())
		}
		before := f.tried("orders")
		w.put(runs("b", "10.0.0.3", "orders"))
		synctest.Wait()
		if at(w, "orders") != "10.0.0.3" {
			t.Errorf("orders has %q: the change of the other machine waits", at(w, "orders"))
		}
		if n := f.tried("orders") - before; n > 3 {
			t.Errorf("it was tried %d times for one change", n)
		}
		f.set("orders", nil)
		time.Sleep(2 * time.Minute)
		if at(w, "orders") != "10.0.0.1 10.0.0.3" || f.faults() != "" {
			t.Errorf("orders has %q, told is %q", at(w, "orders"), f.faults())
		}
	})
}

// TestMoreMachinesThanAServiceMayHave: those that come first are its instances, whatever
// comes and goes behind them; the others say why not, and take over when there is room.
func TestMoreMachinesThanAServiceMayHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const more = 3
		w := newWorld()
		all := []mesh.Change{orders(fromAzure)}
		vm := func(i int, address string) mesh.Change { return runs(fmt.Sprintf("vm-%05d", i), address, "orders") }
		for i := range mesh.MostKeptInstances + more {
			all = append(all, vm(i, fmt.Sprintf("10.1.%d.%d", i>>8, i&255)))
		}
		w.put(all...)
		f, metrics := places(t, w)
		synctest.Wait()
		expect := func(what string, left int, last string) {
			t.Helper()
			synctest.Wait()
			p := placement.Place(w.View())
			list := w.View().Instances("orders")
			if set := (placement.Set{Service: "orders", Source: "az"}); len(list) != mesh.MostKeptInstances || len(p.Sets[set]) != len(list) || !strings.HasPrefix(string(list[len(list)-1].ID), last) {
				t.Fatalf("%s: %d instances, the last is %s", what, len(list), list[len(list)-1].ID)
			}
			out := 0
			for _, placed := range p.Of {
				if len(placed.As) == 0 {
					out++
					if !strings.Contains(placed.Not[0].String(), "are fit, and a service has 10000 instances of a source at most") {
						t.Errorf("%s: %v", what, placed.Not)
					}
				}
			}
			if out != left {
				t.Errorf("%s: %d machines are left out, want %d", what, out, left)
			}
			if err := testutil.GatherAndCompare(metrics, strings.NewReader(fmt.Sprintf("# HELP heddle_placement_left_out Machines that are fit to be instances and are none, because their service has as many of their source as it may.\n# TYPE heddle_placement_left_out gauge\nheddle_placement_left_out %d\n", left)), "heddle_placement_left_out"); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		expect("at first", more, "vm-09999-")
		before := f.count()
		w.put(vm(mesh.MostKeptInstances+more, "10.9.0.1"))
		expect("one more behind", more+1, "vm-09999-")
		if f.count() != before {
			t.Error("a machine that is left out had something written")
		}
		w.put(mesh.Change{VM: vm(5, "").VM, Deleted: true})
		expect("one goes", more, "vm-10000-")
		w.put(machine("vm-00006", func(v *mesh.VM) { v.State = mesh.VMDeallocated }), vm(mesh.MostKeptInstances+more, "10.9.0.2"))
		w.put(vm(6, "10.1.0.6"))
		expect("one stops and comes back", more, "vm-10000-")
	})
}
