package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// fit is a machine that may be an instance, and what it would be.
type fit struct {
	key      mesh.VMKey
	instance *mesh.Instance
}

// choose says which of the machines that are fit are instances of a set: those that come
// first by ID, so that every server says the same, and a machine that comes or goes has
// one other replaced at most. The others have the reason why not.
func choose(all []fit) (chosen []fit, left map[mesh.VMKey]string) {
	slices.SortFunc(all, func(a, b fit) int {
		if order := cmp.Compare(a.instance.ID, b.instance.ID); order != 0 {
			return order
		}
		return strings.Compare(a.key.ID, b.key.ID)
	})
	left = map[mesh.VMKey]string{}
	chosen = make([]fit, 0, len(all))
	for _, one := range all {
		switch n := len(chosen); {
		case n > 0 && chosen[n-1].instance.ID == one.instance.ID:
			left[one.key] = fmt.Sprintf("another machine of its name has the same ID as an instance, %s; give it another name", one.instance.ID)
		case n == mesh.MostKeptInstances:
			left[one.key] = ""
		default:
			chosen = append(chosen, one)
		}
	}
	over := tooMany(len(all))
	for key, why := range left {
		left[key] = cmp.Or(why, over)
	}
	return chosen, left
}

// tooMany is why a machine that is fit is left out.
func tooMany(fit int) string {
	return fmt.Sprintf("%d machines of the source are fit, and a service has %d instances of a source at most, those whose instance IDs come first; split the service, or the source", fit, mesh.MostKeptInstances)
}
