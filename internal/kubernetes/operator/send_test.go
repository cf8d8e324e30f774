package operator

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// Whatever the mirror shows, which may be behind: a change makes of what was sent what
// is wanted, and mends what is not as it was sent.
func TestAChangeMakesOfWhatWasSentWhatIsWanted(t *testing.T) {
	ids := []mesh.InstanceID{"a", "b", "c", "d"}
	m := newMirror()
	draw := func(rt *rapid.T, what string) (list []mesh.Instance, prints map[mesh.InstanceID]uint64) {
		prints = map[mesh.InstanceID]uint64{}
		for _, id := range ids {
			if port := rapid.IntRange(0, 2).Draw(rt, what+string(id)); port > 0 {
				one := mesh.Instance{ID: id, Address: "10.0.0.1", Port: mesh.Port(port)}
				list, prints[id] = append(list, one), m.print(plainInstance(one))
			}
		}
		return list, prints
	}
	propertytest.Check(t, func(rt *rapid.T) {
		wanted, wantedPrints := draw(rt, "wanted")
		_, sent := draw(rt, "sent")
		_, held := draw(rt, "held")
		change := keptChange(sentSet{set: sent, base: 7}, wantedPrints, held, wanted)
		for _, there := range []map[mesh.InstanceID]uint64{sent, held} {
			got := maps.Clone(there)
			for _, one := range change.Instances {
				got[one.ID] = m.print(plainInstance(one))
			}
			for _, id := range change.Removed {
				delete(got, id)
			}
			for id, print := range got { // what is neither there nor named is added by the other
				if wantedPrints[id] != print {
					rt.Fatalf("%+v makes %v of %v, want %v", change, got, there, wantedPrints)
				}
			}
			if len(got) != len(wantedPrints) {
				rt.Fatalf("%+v makes %v of %v, want %v", change, got, there, wantedPrints)
			}
		}
		for _, id := range ids {
			named := false
			for _, one := range change.Instances {
				named = named || one.ID == id
			}
			for _, one := range change.Removed {
				named = named || one == id
			}
			if same := wantedPrints[id] == sent[id] && sent[id] == held[id]; same == named {
				rt.Fatalf("%+v names %s: %t", change, id, named)
			}
		}
	})
}

func TestWhatWasSentIsNoNewsOfTheRegistry(t *testing.T) {
	d := &discovery{mirror: newMirror(), sent: map[mesh.ServiceName]sentSet{
		"sent":    {set: map[mesh.InstanceID]uint64{"a": 1}},
		"sending": {set: map[mesh.InstanceID]uint64{"a": 1}, next: map[mesh.InstanceID]uint64{"a": 2}},
	}}
	d.forget("failed")
	for name, test := range map[string]struct {
		c    change
		echo bool
	}{
		"as it was sent":             {change{of: "sent", instance: "a", print: 1}, true},
		"gone, as it was sent":       {change{of: "sent", instance: "b"}, true},
		"gone, but was sent":         {change{of: "sent", instance: "a"}, false},
		"another than was sent":      {change{of: "sent", instance: "a", print: 3}, false},
		"one that was not sent":      {change{of: "sent", instance: "b", print: 1}, false},
		"as it is being sent":        {change{of: "sending", instance: "a", print: 2}, true},
		"as it was sent before":      {change{of: "sending", instance: "a", print: 1}, false},
		"all of them":                {change{of: "sent"}, false},
		"of a service never sent":    {change{of: "other", instance: "a", print: 1}, false},
		"after a call that failed":   {change{of: "failed", instance: "a"}, false},
		"gone of one that never was": {change{of: "other", instance: "a"}, false},
	} {
		if got := d.isEcho(test.c); got != test.echo {
			t.Errorf("%s: %t", name, got)
		}
	}
}
