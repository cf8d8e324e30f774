package hosts

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// world is what a reader of a fleet's changes has made of them.
type world struct {
	services  map[mesh.ServiceName]*mesh.Service
	instances map[mesh.InstanceKey]*mesh.Instance
	removed   []mesh.InstanceID // deregistered, not lost
}

func newWorld(f *Fleet) *world {
	w := &world{services: map[mesh.ServiceName]*mesh.Service{}, instances: map[mesh.InstanceKey]*mesh.Instance{}}
	w.take(f.Start())
	return w
}

// told tells the fleet what a host runs, and the world what changes by it.
func (w *world) told(f *Fleet, name string, status Status, services []Service) {
	f.Set(name, status, services)
	w.take(f.Changes())
}

func (w *world) take(changes []mesh.Change) {
	w.removed = nil
	for _, c := range changes {
		switch {
		case c.Service != nil && c.Deleted:
			delete(w.services, c.Service.Name)
		case c.Service != nil:
			w.services[c.Service.Name] = c.Service
		case c.Deleted:
			delete(w.instances, c.Instance.Key())
		case c.Instance.Health == mesh.Removed:
			w.removed = append(w.removed, c.Instance.ID)
		default:
			w.instances[c.Instance.Key()] = c.Instance
		}
	}
}

func web(id string, port, servicePort mesh.Port) Service {
	return Service{ID: id, Name: "web", Address: netip.MustParseAddr("10.0.0.1"), Ports: []Port{{Port: port, ServicePort: servicePort}}}
}

func TestServicesOfHostsAreServicesOfTheMesh(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	w.told(f, "h1", Alive, []Service{web("a", 31000, 8080)})
	second := web("b", 31001, 8080)
	second.Health = Draining
	w.told(f, "h2", Alive, []Service{second, {ID: "c", Name: "/Some_DB", Mode: TCPMode, Address: netip.MustParseAddr("10.0.0.2"), Ports: []Port{{Port: 5432, ServicePort: 15432}, {Port: 53, ServicePort: 5353, Type: "udp"}, {Port: 9999}}}})

	want := map[mesh.ServiceName]*mesh.Service{
		"web":     {Name: "web", Owner: "hosts", Protocol: mesh.HTTP, Port: 8080, ListenerPort: 8080, Dependencies: []mesh.ServiceName{}, Traffic: patient.Traffic, Routes: patient.Routes},
		"some-db": {Name: "some-db", Owner: "hosts", Protocol: mesh.TCP, Port: 15432, ListenerPort: 15432, Dependencies: []mesh.ServiceName{}, Traffic: insistent.Traffic},
		"self":    {Name: "self", Owner: "hosts", Protocol: mesh.HTTP, Port: 1, Dependencies: []mesh.ServiceName{"some-db", "web"}},
	}
	if diff := cmp.Diff(want, w.services); diff != "" {
		t.Error(diff)
	}
	instances := map[mesh.InstanceKey]*mesh.Instance{}
	for _, one := range []mesh.Instance{
		{ID: "h1:a:31000", Service: "web", Address: "10.0.0.1", Port: 31000, Health: mesh.Healthy},
		{ID: "h2:b:31001", Service: "web", Address: "10.0.0.1", Port: 31001, Health: mesh.Draining},
		{ID: "h2:c:5432", Service: "some-db", Address: "10.0.0.2", Port: 5432, Health: mesh.Healthy},
	} {
		instances[one.Key()] = &one
	}
	if diff := cmp.Diff(instances, w.instances); diff != "" {
		t.Error(diff)
	}
	f.Set("h1", Alive, nil)
	f.Set("h1", Alive, []Service{web("a", 31000, 8080)})
	if changes := f.Changes(); len(changes) > 0 {
		t.Errorf("what ended and began again in between is said to change %v", changes)
	}
}

// What a host ended is deregistered; what is on a host that failed is lost sight of,
// which the catalog judges by how much that is.
func TestEndedAndLostAreNotTheSame(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080), web("b", 2, 8080)})
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080)})
	if !slices.Equal(w.removed, []mesh.InstanceID{"h1:b:2"}) {
		t.Errorf("ended: %v are said to be removed", w.removed)
	}
	w.told(f, "h1", Failed, nil)
	if len(w.removed) > 0 || len(w.instances) > 0 {
		t.Errorf("failed: %v are said to be removed, %v are left", w.removed, w.instances)
	}
	if _, still := w.services["web"]; !still {
		t.Error("the service of a host that failed is withdrawn: callers would be told that there is none")
	}
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080)})
	if len(w.instances) != 1 {
		t.Errorf("healed: %v", w.instances)
	}
	w.told(f, "h1", Left, nil)
	if !slices.Equal(w.removed, []mesh.InstanceID{"h1:a:1"}) || len(w.services) != 1 {
		t.Errorf("left: %v are said to be removed, services %v are left", w.removed, w.services)
	}
}

// Who claimed a port first has it, whatever its name; the other one is told of, and has
// it when the first is gone.
func TestAPortHasAStableOwner(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	other := web("x", 3, 8080)
	other.Name, other.Claim = "a-later-one", 1
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080)})
	w.told(f, "h2", Alive, []Service{other})
	if owner, late := w.services["web"].ListenerPort, w.services["a-later-one"].ListenerPort; owner != 8080 || late != 0 {
		t.Errorf("the first has port %d, the later one %d", owner, late)
	}
	if problems := f.Problems(); len(problems) != 1 || problems[0].Host != "h2" || problems[0].Service != "a-later-one" {
		t.Errorf("problems: %v", problems)
	}
	w.told(f, "h1", Left, nil)
	if port := w.services["a-later-one"].ListenerPort; port != 8080 {
		t.Errorf("the other one has port %d once the first is gone", port)
	}
	if problems := f.Problems(); len(problems) > 0 {
		t.Errorf("problems that are over: %v", problems)
	}
}

// A host that takes calls from outside exposes what was chosen, where it was chosen.
func TestChosenServicesAreExposed(t *testing.T) {
	f := NewFleet("self", map[mesh.ServiceName]mesh.Port{"web": 80, "api": 0})
	w := newWorld(f)
	api, hidden := web("b", 2, 8081), web("c", 3, 8082)
	api.Name, hidden.Name = "api", "hidden"
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080), api, hidden})
	if got := w.services["self"].Dependencies; !slices.Equal(got, []mesh.ServiceName{"api", "web"}) {
		t.Errorf("the proxy calls %v", got)
	}
	if web, api := w.services["web"].ListenerPort, w.services["api"].ListenerPort; web != 80 || api != 8081 {
		t.Errorf("web is exposed at %d, api at %d", web, api)
	}
	api.Ports[0].ServicePort = 80 // which web was given here
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080), api, hidden})
	if at, problems := w.services["api"].ListenerPort, f.Problems(); at != 0 || len(problems) != 1 {
		t.Errorf("api is exposed at %d, which is web's; problems %v", at, problems)
	}
}

func TestCopiesThatDifferAreTold(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	odd := web("odd", 3, 8080)
	odd.Mode = TCPMode
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080), web("b", 2, 8080), odd})
	if got := w.services["web"].Protocol; got != mesh.HTTP {
		t.Errorf("two say http, one tcp: it is %s", got)
	}
	if problems := f.Problems(); len(problems) != 1 {
		t.Errorf("problems: %v", problems)
	}
}

// However hosts change, the changes add up to what a fleet gives that is told the
// last state alone: two hosts that heard the same in another order agree, whatever
// clocks say.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewFleet("self", nil)
		w := newWorld(f)
		type state struct {
			status   Status
			services []Service
		}
		last := map[string]state{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			name := fmt.Sprint("h", rapid.IntRange(0, 3).Draw(t, "host"))
			s := state{status: Status(rapid.IntRange(0, 2).Draw(t, "status"))}
			for i := range rapid.IntRange(0, 4).Draw(t, "services") {
				s.services = append(s.services, Service{
					ID: fmt.Sprint(i), Name: rapid.SampledFrom([]string{"web", "api", "web-9", "self", "_"}).Draw(t, "name"),
					Claim: rapid.Uint64Range(0, 3).Draw(t, "claim"), Address: netip.MustParseAddr("10.0.0.1"), Mode: rapid.SampledFrom([]Mode{HTTPMode, TCPMode}).Draw(t, "mode"),
					Ports: []Port{{Port: mesh.Port(100 + i), ServicePort: rapid.SampledFrom([]mesh.Port{0, 8, 9}).Draw(t, "port")}, {Port: mesh.Port(200 + i), ServicePort: rapid.SampledFrom([]mesh.Port{0, 9, 10}).Draw(t, "second")}},
				})
			}
			w.told(f, name, s.status, s.services)
			if s.status == Failed && s.services == nil && last[name].status != Left {
				s.services = last[name].services
			}
			last[name] = s
		}
		fresh := NewFleet("self", nil)
		want := newWorld(fresh)
		for _, name := range []string{"h0", "h1", "h2", "h3"} {
			if s, told := last[name]; told {
				s.services = slices.Clone(s.services)
				for i := range s.services { // a host whose clock is wrong
					s.services[i].Created, s.services[i].Updated = time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "created"), 0), time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "updated"), 0)
				}
				want.told(fresh, name, s.status, s.services)
			}
		}
		if diff := cmp.Diff(want.services, w.services, cmp.AllowUnexported(mesh.Meta{})); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(want.instances, w.instances); diff != "" {
			t.Fatal(diff)
		}
		taken := map[mesh.Port]mesh.ServiceName{}
		wanted := map[mesh.Port]bool{}
		for name, s := range w.services {
			if name == "self" {
				continue
			}
			wanted[s.Port] = true
			if s.ListenerPort != 0 {
				if other, twice := taken[s.ListenerPort]; twice {
					t.Fatalf("port %d is %s's and %s's", s.ListenerPort, name, other)
				}
				taken[s.ListenerPort] = name
			}
		}
		for port := range wanted {
			if taken[port] == "" {
				t.Fatalf("port %d is wanted, and nobody has it", port)
			}
		}
	})
}

func TestInstancesHaveNamesThatARegistryTakes(t *testing.T) {
	seen := map[mesh.InstanceID]bool{}
	for _, k := range []key{
		{id: "a"}, {id: "a/b"}, {id: "a b"}, {id: ""}, {id: "-"}, {id: "ü"}, {id: "a\nb"}, {id: "a:b"}, {host: "h:a", id: "b"}, {host: "h-a", id: "b"}, {id: "a-b"},
		{id: "a", source: "docker"}, {id: "a", source: "file"}, {id: "a", address: netip.MustParseAddr("10.0.0.2")}, {id: "a", address: netip.MustParseAddr("fd00::1")},
	} {
		if k.port = 1; k.host == "" {
			k.host = "h"
		}
		id := fmt.Sprint(k)
		one := instance("web", k, copyOf{host: k.host, service: web(k.id, 1, 2), port: Port{Port: 1}})
		if fault := one.Validate(); len(fault) > 0 || seen[one.ID] {
			t.Errorf("%q: %q: %v, seen %v", id, one.ID, fault, seen[one.ID])
		}
		seen[one.ID] = true
	}
}

// What was lost sight of may be kept as an endpoint; a host that is back without it, or is
// forgotten, says that it is gone.
func TestWhatEndedWhileItsHostWasLostIsToldAsEnded(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	for _, name := range []string{"h1", "h2", "h3"} {
		w.told(f, name, Alive, []Service{web("a", 31000, 8080)})
	}
	for _, name := range []string{"h1", "h2", "h3"} {
		w.told(f, name, Failed, nil)
		if len(w.removed) > 0 {
			t.Fatalf("%s failed, and %v are told as ended", name, w.removed)
		}
	}
	w.told(f, "h1", Alive, []Service{web("a", 31000, 8080)})
	if len(w.removed) > 0 {
		t.Errorf("h1 is back with what it ran, and %v are told as ended", w.removed)
	}
	w.told(f, "h2", Alive, nil)
	if !slices.Equal(w.removed, []mesh.InstanceID{"h2:a:31000"}) {
		t.Errorf("h2 is back with nothing, and %v are told as ended", w.removed)
	}
	w.told(f, "h3", Left, nil)
	if !slices.Equal(w.removed, []mesh.InstanceID{"h3:a:31000"}) {
		t.Errorf("h3 is forgotten, and %v are told as ended", w.removed)
	}
	if len(f.lost["web"]) > 0 {
		t.Errorf("still noted as lost: %v", f.lost["web"])
	}
	w.told(f, "h1", Failed, nil)
	w.told(f, "h1", Left, nil)
	if !slices.Equal(w.removed, []mesh.InstanceID{"h1:a:31000"}) || len(f.lost) > 0 {
		t.Errorf("the last is gone, %v are told as ended, and noted as lost: %v", w.removed, f.lost)
	}
}
