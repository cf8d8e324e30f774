package hosts

import (
	"slices"
	"testing"
)

func TestEventsAreWhatDiffers(t *testing.T) {
	one, sick, gone, lost := web("a", 1, 2), web("b", 1, 2), web("c", 1, 2), web("d", 1, 2)
	old := &State{Hosts: []Host{{Name: "h1", Services: []Service{one, sick, gone}}, {Name: "h2", Services: []Service{lost}}}}
	again := one
	again.Updated = again.Updated.AddDate(1, 0, 0)
	sick.Health = Unhealthy
	fresh := web("e", 1, 2)
	now := &State{Hosts: []Host{{Name: "h1", Services: []Service{again, sick, fresh}}, {Name: "h2", Status: Failed, Services: []Service{lost}}}}
	want := []Event{
		{Host: "h1", Service: sick, Previous: Healthy},
		{Host: "h1", Service: gone, Previous: Healthy, Gone: true},
		{Host: "h1", Service: fresh},
		{Host: "h2", Service: lost, Previous: Healthy, Gone: true},
	}
	same := func(a, b Event) bool {
		return a.Host == b.Host && a.Service.ID == b.Service.ID && a.Service.Same(b.Service) && a.Previous == b.Previous && a.Gone == b.Gone
	}
	if got := Events(old, now); !slices.EqualFunc(got, want, same) {
		t.Errorf("got %+v", got)
	}
	if got := Events(nil, old); len(got) != 4 || got[0].Previous != "" {
		t.Errorf("of nothing: %+v", got)
	}
	if got := Events(old, old); len(got) > 0 {
		t.Errorf("of the same: %+v", got)
	}
}
