package hosts

import (
	"net/netip"
	"slices"
	"testing"
)

// What two sources of one host found may have one ID, and one container one public port
// on two addresses: each is a copy, told, changed and ended by itself.
func TestCopiesOfOneIDAreToldApart(t *testing.T) {
	from := func(source string, health Health, addresses ...string) Service {
		s := web("a", 80, 8080)
		s.Source, s.Health, s.Ports = source, health, nil
		for _, address := range addresses {
			s.Ports = append(s.Ports, Port{Port: 80, ServicePort: 8080, Address: netip.MustParseAddr(address)})
		}
		return s
	}
	file := from("file", Healthy, "10.0.0.1")
	docker := from("docker", Healthy, "10.0.0.1", "10.0.0.2")
	f := NewFleet("self", nil)
	w := newWorld(f)
	w.told(f, "h1", Alive, []Service{docker, file})
	if len(w.instances) != 3 {
		t.Errorf("want 3 instances, got %v", w.instances)
	}
	w.told(f, "h1", Alive, []Service{docker})
	if len(w.instances) != 2 || len(w.removed) != 1 {
		t.Errorf("the file's is gone, and so are %v; %v are left", w.removed, w.instances)
	}
	w.told(f, "h1", Alive, []Service{from("docker", Healthy, "10.0.0.2")})
	if len(w.instances) != 1 || len(w.removed) != 1 {
		t.Errorf("one address is gone, and so are %v; %v are left", w.removed, w.instances)
	}

	state := func(services ...Service) *State { return &State{Hosts: []Host{{Name: "h1", Services: services}}} }
	sick := from("file", Unhealthy, "10.0.0.1")
	var told []string
	for _, pair := range [][2]*State{{nil, state(docker, file)}, {state(docker, file), state(docker, sick)}, {state(docker, sick), state(docker)}} {
		for _, e := range Events(pair[0], pair[1]) {
			what := " is " + string(e.Service.Health)
			if e.Gone {
				what = " is gone"
			}
			told = append(told, e.Service.Source+what)
		}
	}
	if want := []string{"docker is healthy", "file is healthy", "file is unhealthy", "file is gone"}; !slices.Equal(told, want) {
		t.Errorf("want %q, got %q", want, told)
	}
}
