package accesslog

import (
	"fmt"
	"slices"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestWhatSomeSawCostsNothingOfOthers: an explanation asks about two reporters of
// thousands.
func TestWhatSomeSawCostsNothingOfOthers(t *testing.T) {
	cost := func(reporters int) float64 {
		c := newClock()
		k := NewKeeper(KeeperConfig{Table: NewTable(c.now, func(string) bool { return true }), Now: c.now})
		k.others = map[string][]mesh.Sightings{"b": nil}
		for i := range reporters {
			name := fmt.Sprintf("service-%d", i)
			k.saved[name] = mesh.Sightings{Reporter: name, Rows: []mesh.Sighting{{Peer: "hub", Requests: 1}}}
			k.others["b"] = append(k.others["b"], k.saved[name])
			k.cfg.Table.tell(name, seen{peer: peer{name: "hub"}, counted: true})
		}
		want := slices.DeleteFunc(k.Sightings(), func(s mesh.Sightings) bool { return s.Reporter != "service-1" && s.Reporter != "service-3" })
		if got := k.SightingsOf("service-3", "service-1", "service-1", "nobody"); len(got) != 2 || fmt.Sprint(got) != fmt.Sprint(want) || got[0].Rows[0].Requests != 3 {
			t.Fatalf("%+v, of all it is %+v", got, want)
		}
		return testing.AllocsPerRun(20, func() { k.SightingsOf("service-1", "service-3") })
	}
	if few, many := cost(10), cost(2000); many > few+2 {
		t.Errorf("among 10 reporters it takes %g allocations, among 2,000 %g", few, many)
	}
}

func BenchmarkSightingsOf(b *testing.B) {
	c := newClock()
	k := NewKeeper(KeeperConfig{Table: NewTable(c.now, func(string) bool { return true }), Now: c.now})
	for i := range 2000 {
		name := fmt.Sprintf("service-%d", i)
		for peerOf := range 9 {
			k.cfg.Table.tell(name, seen{peer: peer{name: fmt.Sprintf("service-%d", i+peerOf)}, counted: true})
		}
	}
	b.Run("two of 2000", func(b *testing.B) {
		for b.Loop() {
			k.SightingsOf("service-1", "service-2")
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			k.Sightings()
		}
	})
}
