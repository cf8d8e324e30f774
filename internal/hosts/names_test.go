package hosts

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Long names that begin alike are different services, and fit with a port.
func TestLongNamesAreToldApart(t *testing.T) {
	long := "payments-of-the-north-west-region-for-all-customers-by-day-"
	one, two := MeshName(long+"one"), MeshName(long+"two")
	if one == two || len(one) > maxLabel || len(two) > maxLabel || MeshName(string(one)) != one || !strings.HasPrefix(string(one), "payments-of-the-north") {
		t.Errorf("%q and %q", one, two)
	}
	for n := range 255 {
		name := MeshName(strings.Repeat("a-", n) + "b")
		s := mesh.Service{Name: name + "-65535", Owner: "hosts", Protocol: mesh.HTTP, Port: 1, Dependencies: []mesh.ServiceName{}}
		if fault := s.Validate(); len(fault) > 0 {
			t.Errorf("%d: %q: %v", n, name, fault)
		}
	}
}

// Calls of one service never reach another one that the mesh would call the same: who had
// the name first has it, and the other one is told of.
func TestNamesakesAreNotMerged(t *testing.T) {
	for other, edit := range map[string]func(*Service){
		"Web":    func(*Service) {},
		"web.":   func(*Service) {},
		"web-81": func(s *Service) { s.Ports = []Port{{Port: 7, ServicePort: 9000}} },
	} {
		for _, later := range []string{"web", other} {
			f := NewFleet("self", nil)
			w := newWorld(f)
			first := web("a", 31000, 80)
			first.Ports = append(first.Ports, Port{Port: 31001, ServicePort: 81})
			second := web("b", 31002, 80)
			second.Name, second.Claim, first.Claim = other, 1, 1
			edit(&second)
			name, sought, port := MeshName(other), second.Ports[0].Port, mesh.Port(31000)
			if other == "web-81" {
				port = 31001
			}
			if later == "web" {
				first.Claim, port = 2, sought
			} else {
				second.Claim = 2
			}
			w.told(f, "h1", Alive, []Service{first})
			w.told(f, "h2", Alive, []Service{second})
			var ports []mesh.Port
			for _, i := range w.instances {
				if i.Service == name {
					ports = append(ports, i.Port)
				}
			}
			problems := f.Problems()
			if len(ports) != 1 || ports[0] != port || len(problems) == 0 || problems[0].Service != later {
				t.Errorf("web and %s, %s later: copies at %v, to be %d; problems %+v", other, later, ports, port, problems)
			}
			host := map[string]string{"web": "h2", other: "h1"}[later]
			w.told(f, host, Left, nil)
			if len(w.instances) == 0 || len(f.Problems()) > 0 {
				t.Errorf("once the first is gone %v are called, problems %+v", w.instances, f.Problems())
			}
		}
	}
}

// A copy that a mesh with a server runs is one of the service of its name.
func TestTheMeshAndAHostMayRunOneService(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	upper := web("a", 31000, 80)
	upper.Name = "WEB"
	w.told(f, "h1", Alive, []Service{upper})
	imported := web("web/1", 9000, 80)
	imported.Source = FromMesh
	f.SetBridge("h2", &Bridge{Follows: true})
	w.told(f, "h2", Alive, []Service{imported})
	if len(w.instances) != 2 || len(f.Problems()) > 0 {
		t.Errorf("%v are called, problems %+v", w.instances, f.Problems())
	}
}
