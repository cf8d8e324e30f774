package hosts

import (
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
