package hosts

import (
	"fmt"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A service that moves to another port by the way that docs/hosts.md shows is called at the
// old one until its last copy has both, and at the new one from then on, without a gap.
func TestAServiceMovesToAnotherPort(t *testing.T) {
	for count := range 4 {
		moves(t, count+1, 9001, 9050)
		moves(t, count+1, 9050, 9001)
	}
}

func moves(t *testing.T, count int, from, to mesh.Port) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	called := func(port mesh.Port) error { // port, or why no copy is called at it
		for name, s := range w.services {
			if name == "self" || s.Port != port {
				continue
			}
			for key, one := range w.instances {
				if key.Service == name && one.Health != mesh.Removed {
					return nil
				}
			}
		}
		return fmt.Errorf("nothing is called at %d: %v", port, w.services)
	}
	with := func(i int, ports ...mesh.Port) {
		s := web(fmt.Sprint("copy-", i), 0, 0)
		s.Ports, s.Claim = nil, uint64(i+1)
		for _, port := range ports {
			s.Ports = append(s.Ports, Port{Port: mesh.Port(31000 + i), ServicePort: port})
		}
		w.told(f, fmt.Sprint("host-", i), Alive, []Service{s})
	}
	for _, step := range []struct{ ports, serves []mesh.Port }{
		{[]mesh.Port{from}, []mesh.Port{from}},
		{[]mesh.Port{from, to}, []mesh.Port{from}},
		{[]mesh.Port{to}, []mesh.Port{to}},
	} {
		for i := range count {
			with(i, step.ports...)
			for _, port := range step.serves {
				if err := called(port); err != nil {
					t.Errorf("%d copies, of which %d say %v: %v", count, i+1, step.ports, err)
				}
			}
		}
	}
}
