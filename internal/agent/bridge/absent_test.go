package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A bridge that reaches a server which takes no registrations says what is missing.
func TestAShareThatIsNotInTheMeshIsTold(t *testing.T) {
	_, e := newFleet(nil, "h1")
	e.missing = map[mesh.InstanceKey]time.Time{}
	e.told.Store(&able)
	e.mirror.synced = true
	var s speaker
	now := time.Now()
	after := func(d time.Duration, want string) {
		t.Helper()
		now = now.Add(d)
		e.check(healthy(e), now)
		said := s.says(e.Bridge, true, nil, now)
		if !said.Follows || want == "" && said.Away != "" || !strings.Contains(said.Away, want) {
			t.Errorf("after %s it says %+v, to be %q", d, said, want)
		}
	}
	const missing = "1 of its share, such as orders/ours.h1:file:1:8000"
	after(0, "")
	after(absentPatience-time.Second, "")
	after(time.Second, missing)
	e.mirror.loses(mesh.Unavailable(nil, "no answer")) // nobody knows what the mesh has
	after(time.Second, "")
	e.mirror.loses(nil)
	after(absentPatience-time.Second, "")
	after(absentPatience, missing)
	change(e.mirror, false, nil, &mesh.Instance{Service: "orders", ID: "ours.h1:file:1:8000"})
	after(time.Second, "")
	change(e.mirror, true, nil, &mesh.Instance{Service: "orders", ID: "ours.h1:file:1:8000"})
	after(time.Second, "")
	after(absentPatience, missing)
	e.writes.denied["orders"] = denial{} // which is told by itself
	e.check(healthy(e), now.Add(time.Hour))
	if text := e.absent.Load(); text != nil {
		t.Errorf("what is refused is told twice: %s", *text)
	}
}

// healthy gives what a bridge is to have registered once all of it is healthy.
func healthy(e *exporter) map[mesh.InstanceKey]mesh.Instance {
	wanted, _ := e.wanted()
	for key, one := range wanted {
		one.Health = mesh.Healthy
		wanted[key] = one
	}
	return wanted
}
