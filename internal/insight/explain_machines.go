package insight

import (
	"fmt"
	"strings"
)

// whyNoMachine says why a service that wants virtual machines has none, and what to do.
func (i *inquiry) whyNoMachine() (why, mend string) {
	name, wanted := i.callee.Name, i.callee.Endpoints.VMs
	for _, one := range i.View.Placing().Faults {
		if one.Service == name {
			return fmt.Sprintf("%q has no instance: its machines cannot be written as such: %s.", name, one.Error), "heddle status"
		}
	}
	shown := i.Machines.Of(i.View)
	counts, total := shown.LeftOut(name)
	sources := strings.Join(wanted.Sources, ", ")
	if total > 0 {
		var words []string
		for n, one := range counts {
			if n == mostShown {
				words = append(words, fmt.Sprintf("and %d more reasons", len(counts)-n))
				break
			}
			words = append(words, fmt.Sprintf("%d (such as %s) because %s", one.Machines, one.Name, one.Why))
		}
		return fmt.Sprintf("%q has no instance: of its %s none can be one: %s.", name, plural(total, "machine"), strings.Join(words, "; ")), "heddle get vms"
	}
	for set, list := range shown.Sets {
		if set.Service == name && len(list) > 0 {
			return fmt.Sprintf("%q has no instance yet: %s of source %s %s about to be written as such.", name, plural(len(list), "machine"), set.Source, isOrAre(len(list))), "heddle status"
		}
	}
	machines := 0
	for _, source := range wanted.Sources {
		for range i.View.VMsOf(source) {
			machines++
		}
	}
	switch {
	case machines == 0:
		return fmt.Sprintf("%q has no instance: no machine of its sources (%s) is known.", name, sources), "heddle discovery list"
	case len(wanted.Tags) > 0:
		return fmt.Sprintf("%q has no instance: none of the %s of its sources (%s) has all the tags of endpoints.vms.tags.", name, plural(machines, "machine"), sources), "heddle get vms"
	}
	return fmt.Sprintf("%q has no instance: none of the %s of its sources (%s) has a tag that names it (such as heddle-service=%s), and endpoints.vms.tags asks for no others.", name, plural(machines, "machine"), sources, name), "heddle get vms"
}
