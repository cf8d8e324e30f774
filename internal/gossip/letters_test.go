package gossip

import (
	"fmt"
	"testing"
)

// However much is missing, it is asked for by a few letters, each thing once.
func TestWhatIsMissingIsAskedForTogether(t *testing.T) {
	members := []string{}
	for i := range 100 {
		members = append(members, fmt.Sprint("h", i))
	}
	n := bare(t, members...)
	for _, name := range members {
		n.lacks[name] = &lack{known: position{firstEpoch(7), 1}}
	}
	n.askOthers()
	asked, letters := map[string]int{}, len(n.letters)
	for range letters {
		for _, one := range (<-n.letters).ask {
			asked[one.Host]++
		}
	}
	if letters > fanOut || len(asked) != len(members) {
		t.Errorf("%d letters ask for %d of %d records", letters, len(asked), len(members))
	}
	for name, times := range asked {
		if times != 1 {
			t.Errorf("%s is asked for %d times", name, times)
		}
	}
	n.askOthers()
	if len(n.letters) > 0 {
		t.Error("all is asked for again at once")
	}
}
