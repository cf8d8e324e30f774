package hosts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A proxy that is told to listen where the agent does refuses it, and nobody is told: the
// service is called by its name alone, and that is a problem with a reason.
func TestPortsOfTheAgentAreNobodys(t *testing.T) {
	f := NewFleet("self", nil)
	f.Reserve(map[mesh.Port]string{7777: "the agent's API"})
	w := newWorld(f)
	w.told(f, "h1", Alive, []Service{web("a", 31000, 7777)})
	if at, p := w.services["web"].ListenerPort, f.Problems(); at != 0 || len(p) != 1 || p[0].Host != "h1" || p[0].Port != 7777 || !strings.Contains(p[0].Message, "the agent's API") {
		t.Errorf("it listens at %d, problems %+v", at, p)
	}
	if len(w.instances) != 1 {
		t.Errorf("by name %v are called", w.instances)
	}
	w.told(f, "h1", Alive, []Service{web("a", 31000, 7778)})
	if at, p := w.services["web"].ListenerPort, f.Problems(); at != 7778 || len(p) != 0 {
		t.Errorf("elsewhere it listens at %d, problems %+v", at, p)
	}
}

// A proxy that has more ports than files ends, again and again: it is given as many as it
// can have, the others are called by name, and what becomes free goes to one of those.
func TestAProxyIsGivenNoMorePortsThanItHasFiles(t *testing.T) {
	f := NewFleet("self", nil)
	f.Limit(2)
	w := newWorld(f)
	var list []Service
	for i := range 4 {
		s := web(fmt.Sprint("id", i), mesh.Port(31000+i), mesh.Port(8000+i))
		s.Name = fmt.Sprint("web", i)
		list = append(list, s)
	}
	listens := func(want string) {
		t.Helper()
		var got []string
		for i := range list {
			if s := w.services[mesh.ServiceName(fmt.Sprint("web", i))]; s != nil && s.ListenerPort != 0 {
				got = append(got, string(s.Name))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("it listens for %v, not for %s", got, want)
		}
		for _, p := range f.Problems() {
			if !strings.Contains(p.Message, "listen at 2 ports") {
				t.Errorf("a problem is %q", p.Message)
			}
		}
	}
	w.told(f, "h1", Alive, list)
	listens("web0 web1")
	if n := len(f.Problems()); n != 2 || len(w.instances) != 4 {
		t.Errorf("%d problems, and %d copies are called", n, len(w.instances))
	}
	w.told(f, "h2", Alive, list[3:]) // news of one that has no port
	listens("web0 web1")
	w.told(f, "h1", Alive, list[1:])
	listens("web1 web2")
	w.told(f, "h1", Alive, list[2:])
	listens("web2 web3")
	if n := len(f.Problems()); n != 0 {
		t.Errorf("%d problems are left", n)
	}
}

// Envoy chooses its admin port itself, after services have theirs.
func TestPortsAreReservedLaterAndGivenBack(t *testing.T) {
	f := NewFleet("self", map[mesh.ServiceName]mesh.Port{"web": 40000})
	all := NewFleet("self", nil)
	for _, f := range []*Fleet{f, all} {
		w := newWorld(f)
		w.told(f, "h1", Alive, []Service{web("a", 31000, 40000)})
		for range 2 {
			if at, p := w.services["web"].ListenerPort, f.Problems(); at != 40000 || len(p) != 0 {
				t.Fatalf("it listens at %d, problems %+v", at, p)
			}
			f.Reserve(map[mesh.Port]string{40000: "Envoy's admin interface"})
			w.take(f.Changes())
			if at, p := w.services["web"].ListenerPort, f.Problems(); at != 0 || len(p) != 1 || p[0].Port != 40000 {
				t.Fatalf("it listens at %d, problems %+v", at, p)
			}
			f.Reserve(nil)
			w.take(f.Changes())
		}
	}
}

// A host that exposes some services told of the ports that others want, which it never gives.
func TestAListenerIsSilentOfWhatItDoesNotExpose(t *testing.T) {
	f := NewFleet("self", map[mesh.ServiceName]mesh.Port{"web": 0})
	f.Reserve(map[mesh.Port]string{7777: "the agent's API"})
	w := newWorld(f)
	first, reserved := web("b", 31001, 8080), web("c", 31002, 7777)
	first.Name, first.Claim, reserved.Name = "first", 1, "reserved"
	late := web("a", 31000, 8080)
	late.Claim = 2
	w.told(f, "h1", Alive, []Service{first, late, reserved})
	if at, p := w.services["web"].ListenerPort, f.Problems(); at != 8080 || len(p) != 0 {
		t.Errorf("web is exposed at %d, problems %+v", at, p)
	}
}
