package azure

import (
	"maps"
	"slices"
)

// turns are in which order a subscription's resource groups and scale sets are asked for what
// is missing. What was doubted is likely to be doubted again, as where a right was lost: it
// has a share of the proofs, in turn, and does not keep from what has just gone.
type turns struct {
	doubts map[string]error // by group or set, why its machines may not be gone
	next   string           // the first of these that was put off; empty: none
}

// turnsOf gives a subscription's.
func (s *Source) turnsOf(subscription string) *turns {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns[subscription] == nil {
		s.turns[subscription] = &turns{doubts: map[string]error{}}
	}
	return s.turns[subscription]
}

// order gives the groups and sets that were not doubted before, and those that were, each in
// the order in which they are asked. Doubts of what is not missing any more are forgotten.
func (t *turns) order(missing map[string][]string) (fresh, doubted []string) {
	maps.DeleteFunc(t.doubts, func(of string, _ error) bool { return missing[of] == nil })
	var later []string
	for _, of := range slices.Sorted(maps.Keys(missing)) {
		switch {
		case t.doubts[of] == nil:
			fresh = append(fresh, of)
		case of < t.next:
			later = append(later, of)
		default:
			doubted = append(doubted, of)
		}
	}
	return fresh, append(doubted, later...)
}
