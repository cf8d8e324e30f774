package hosts

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Where the proxy has no room for all ports, who was there first has one, also when the
// agent starts again and hears of all at once; a lower number is no reason.
func TestScarcePortsGoToWhoWasFirst(t *testing.T) {
	f := NewFleet("self", nil)
	f.Limit(1)
	w := newWorld(f)
	old, late := web("old", 1, 8080), web("late", 2, 1000)
	old.Name, old.Claim = "old", 1
	late.Name, late.Claim = "late", 2
	w.told(f, "h1", Alive, []Service{late, old})
	if w.services["old"].ListenerPort != 8080 || w.services["late"].ListenerPort != 0 {
		t.Errorf("old listens at %d, late at %d", w.services["old"].ListenerPort, w.services["late"].ListenerPort)
	}
}

// A service without a port of its own that is exposed at one of the host's own has none
// while that is so.
func TestWhatIsExposedAtAReservedPortHasNone(t *testing.T) {
	f := NewFleet("self", map[mesh.ServiceName]mesh.Port{"web": 9901})
	w := newWorld(f)
	s := web("a", 31000, 8080)
	s.Ports[0].ByName = true
	w.told(f, "h1", Alive, []Service{s})
	if at := w.services["web"].ListenerPort; at != 9901 {
		t.Fatalf("it is exposed at %d", at)
	}
	f.Reserve(map[mesh.Port]string{9901: "Envoy's admin interface"})
	w.take(f.Changes())
	if at, problems := w.services["web"].ListenerPort, f.Problems(); at != 0 || len(problems) != 1 || !strings.Contains(problems[0].Message, "admin interface") {
		t.Errorf("it is exposed at %d, and told as %+v", at, problems)
	}
	f.Reserve(nil)
	w.take(f.Changes())
	if at, problems := w.services["web"].ListenerPort, f.Problems(); at != 9901 || len(problems) != 0 {
		t.Errorf("given back, it is exposed at %d, and told as %+v", at, problems)
	}
}
