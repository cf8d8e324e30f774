package bridge

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/lease/leasetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// fleet is what one host knows.
type fleet struct {
	catalog *catalog.Catalog
	hosts   *hosts.Fleet
	state   *hosts.State
}

func (f *fleet) Catalog() *catalog.Catalog { return f.catalog }
func (f *fleet) State() *hosts.State       { return f.state }
func (f *fleet) Known() <-chan struct{}    { return nil }

// newFleet has hosts that run one copy of orders each, and an exporter of all of them.
func newFleet(server Mesh, names ...string) (*fleet, *exporter) {
	f := &fleet{catalog.New(catalog.Config{Logger: slog.New(slog.DiscardHandler)}), hosts.NewFleet("heddle-host", nil), &hosts.State{}}
	f.catalog.Apply(0, true, f.hosts.Start())
	for _, name := range names {
		f.set(name, hosts.Alive)
	}
	b := New(Config{Mesh: server, Fleet: "ours", Host: "b1", Logger: slog.New(slog.DiscardHandler)})
	change(b.mirror, false, &mesh.Service{Name: "orders", Protocol: mesh.HTTP, Port: 80}, nil)
	b.mirror.take(client.Event{Type: client.EventSynced})
	return f, &exporter{Bridge: b, fleet: f, exports: map[mesh.InstanceKey]*export{}, ending: map[mesh.InstanceKey]chan struct{}{}}
}

// set tells the state of a host; of that the catalog hears when it is told.
func (f *fleet) set(name string, status hosts.Status) {
	f.notice(name, status)
	f.catalog.Apply(0, true, f.hosts.Changes())
}

func (f *fleet) notice(name string, status hosts.Status) {
	one := hosts.Host{Name: name, Status: status, Services: []hosts.Service{{
		ID: "1", Name: "orders", Source: "file", Address: netip.MustParseAddr("10.0.0.1"), Ports: []hosts.Port{{Port: 8000, ServicePort: 80}},
	}}}
	f.hosts.Set(name, status, one.Services)
	list := slices.DeleteFunc(slices.Clone(f.state.Hosts), func(h hosts.Host) bool { return h.Name == name })
	f.state = &hosts.State{Hosts: append(list, one)}
}

// A host that died takes its copies out of the mesh: a bridge that keeps them as
// endpoints of its own, as most are gone at once, does not tell the mesh that they live.
func TestWhatWasLostSightOfIsNotKeptAlive(t *testing.T) {
	f, e := newFleet(nil, "h1")
	if wanted, lost := e.wanted(); len(wanted) != 1 || len(lost) != 0 {
		t.Fatalf("alive: %v, lost %v", wanted, lost)
	}
	f.notice("h1", hosts.Failed) // the other part of a network that was cut; the catalog does not know yet
	if wanted, lost := e.wanted(); len(wanted) != 0 || len(lost) != 1 {
		t.Errorf("just lost: %v, lost %v", wanted, lost)
	}
	f.set("h1", hosts.Failed)
	if all := f.catalog.View().Instances("orders"); len(all) != 1 || !all[0].Stale {
		t.Fatalf("the catalog keeps %v", all)
	}
	if wanted, lost := e.wanted(); len(wanted) != 0 || len(lost) != 1 {
		t.Errorf("dead: %v, lost %v", wanted, lost)
	}
	f.set("h1", hosts.Alive)
	if wanted, lost := e.wanted(); len(wanted) != 1 || len(lost) != 0 {
		t.Errorf("back: %v, lost %v", wanted, lost)
	}
}

// server is a mesh that takes its time; it ends no call early.
type server struct {
	leasetest.Registrar
	mu    sync.Mutex
	calls []string // guarded by mu: the addresses as they came to count, and what was deregistered
}

func (*server) Stream(context.Context, int64, func(client.Event) error) error { return nil }

func (s *server) note(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *server) Register(_ context.Context, list []mesh.Instance, ttl time.Duration) ([]mesh.Instance, error) {
	if list[0].Address == "10.0.0.1" {
		time.Sleep(200 * time.Millisecond) // on its way when the copy changes
	}
	s.note(list[0].Address)
	list[0].Epoch = list[0].Address
	return list, nil
}

func (s *server) Renew(context.Context, mesh.InstanceKey, string) (time.Duration, error) {
	return 0, nil
}

func (s *server) Deregister(_ context.Context, key mesh.InstanceKey, _ string) error {
	s.note("deregister")
	return nil
}

// A copy that changes is registered as it is now, though its former registration was
// under way; and the lease of one that is lost sight of runs out.
func TestRegistrationsOfACopyDoNotOvertakeEachOther(t *testing.T) {
	s := &server{}
	_, e := newFleet(s, "h1")
	defer e.tasks.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wanted, _ := e.wanted()
	e.bring(ctx, wanted, nil)
	time.Sleep(50 * time.Millisecond)
	for key, one := range wanted {
		one.Address = "10.0.0.2"
		wanted[key] = one
	}
	e.bring(ctx, wanted, nil)
	deadline := time.Now().Add(10 * time.Second)
	for len(s.seen()) < 2 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if got := s.seen(); !slices.Equal(got, []string{"10.0.0.1", "10.0.0.2"}) {
		t.Errorf("registered in turn are %q", got)
	}
	lost := map[mesh.InstanceKey]struct{}{}
	for key := range wanted {
		lost[key] = struct{}{}
	}
	for range 3 {
		e.bring(ctx, nil, lost)
		time.Sleep(50 * time.Millisecond)
	}
	if got := s.seen(); len(e.exports) > 0 || slices.Contains(got, "deregister") {
		t.Errorf("%v are kept, calls %q", e.exports, got)
	}
}
