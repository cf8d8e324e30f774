package hosts

import (
	"fmt"
	"slices"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The smaller part of a fleet that was cut in two for long forgets the larger: most of a
// service's copies go together, and none is told as ended, until more are there again.
func TestMostCopiesThatAreForgottenTogetherAreLostAndNotEnded(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	names := []string{"h1", "h2", "h3", "h4", "h5"}
	for _, name := range names {
		w.told(f, name, Alive, []Service{web("a", 31000, 8080)})
	}
	for _, status := range []Status{Failed, Forgotten} {
		for _, name := range names[2:] {
			if w.told(f, name, status, nil); len(w.removed) > 0 {
				t.Fatalf("%s: %v are told as ended", name, w.removed)
			}
		}
	}
	w.told(f, "h3", Alive, []Service{web("a", 31000, 8080)})
	want := []mesh.InstanceID{"h4:a:31000", "h5:a:31000"}
	if !slices.Equal(w.removed, want) {
		t.Errorf("three are there, two forgotten, and %v are told as ended", w.removed)
	}
}

// One host of many that is forgotten is dead, and what it ran has ended.
func TestWhatRanOnOneForgottenHostHasEnded(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	for i := range 3 {
		w.told(f, fmt.Sprint("h", i), Alive, []Service{web("a", 31000, 8080)})
	}
	w.told(f, "h0", Failed, nil)
	w.told(f, "h0", Forgotten, nil)
	if !slices.Equal(w.removed, []mesh.InstanceID{"h0:a:31000"}) {
		t.Errorf("%v are told as ended", w.removed)
	}
}

// The only copy of a service stays called when its host is forgotten, but not its port: that
// goes to who lives and wants it. In the end the agent lets the host go, and the service ends.
func TestAForgottenServiceGivesItsPortUp(t *testing.T) {
	f := NewFleet("self", nil)
	w := newWorld(f)
	other := web("x", 3, 8080)
	other.Name, other.Claim = "zeta", 7
	w.told(f, "h1", Alive, []Service{web("a", 1, 8080)})
	w.told(f, "h2", Alive, []Service{other})
	w.told(f, "h1", Failed, nil)
	if w.services["web"].ListenerPort != 8080 {
		t.Error("a host that failed lost its port at once")
	}
	w.told(f, "h1", Forgotten, nil)
	if len(w.removed) > 0 || w.services["zeta"].ListenerPort != 8080 || w.services["web"].ListenerPort != 0 {
		t.Errorf("forgotten: %v have ended, zeta has %d, web %d", w.removed, w.services["zeta"].ListenerPort, w.services["web"].ListenerPort)
	}
	w.told(f, "h1", Left, nil)
	if !slices.Equal(w.removed, []mesh.InstanceID{"h1:a:1"}) || w.services["web"] != nil {
		t.Errorf("let go: %v have ended", w.removed)
	}
}
