package discovery

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A scope that had machines is believed to be empty once it was listed as that so often in
// a row, and for so long: who loses the right to see machines is told that there are none,
// and rights that are changed come into force within minutes.
const (
	emptyTimes = 3
	emptyTime  = 5 * time.Minute
)

// believed says whether a scope that is listed as empty once more is.
func (m *memory) believed(began time.Time) bool {
	if m.empty++; m.empty == 1 {
		m.since = began
	}
	return m.empty >= emptyTimes && began.Sub(m.since) >= emptyTime
}

// merged is what follows from a listing.
type merged struct {
	put    []mesh.VM
	gone   []mesh.VMKey
	count  int // of the machines that there are then
	scopes []mesh.DiscoveryScope
	failed bool // a scope, or it rests because it has
	held   bool // machines that are not listed any more, and may not be gone
}

// merge compares a listing with what is known of the source. A scope that failed keeps
// what it had, and so does one that seems to be empty, or not to be there, all at once.
func merge(known Known, listing Listing, remembered map[string]memory, began time.Time) merged {
	c := compare(known, listing.Scopes)
	missing := map[string]int{} // known machines that are not listed, by scope
	for _, vm := range c.missing(known) {
		missing[vm.Scope]++
	}
	out, keep := merged{count: len(c.listed)}, map[string]bool{}
	out.failed = slices.ContainsFunc(listing.Scopes, func(s Scope) bool { return !s.whole() })
	for i, scope := range withVanished(listing.Scopes, missing) {
		m := remembered[scope.Name]
		status := mesh.DiscoveryScope{Name: scope.Name, VMs: len(scope.VMs)}
		switch had := missing[scope.Name]; {
		case !scope.whole():
			m.empty = 0
			keep[scope.Name], status.VMs, status.Error, status.NotBefore, status.HeldSince = true, had, m.fault, m.notBefore, m.held
		case scope.Doubt != nil:
			m.success, m.empty = began, 0 // of what is listed
			if m.held.IsZero() {
				m.held = began
			}
			status.HeldSince = m.held
			out.held, status.Held, status.Error, status.NotBefore = true, scope.Held, scope.Doubt.Error(), m.notBefore
		case i >= len(listing.Scopes) && out.failed: // another scope may have its machines, such as a group those of a subscription
			out.held, keep[scope.Name], status.VMs, status.Held = true, true, had, had
			status.Error = vanished(scope.Name, had)
		case len(scope.VMs) == 0 && had > 0 && scope.Name != "" && !scope.Proven && !m.believed(began):
			out.held, keep[scope.Name], status.VMs, status.Held = true, true, had, had
			status.Error = fmt.Sprintf("it seems to have no machines any more, and had %d: believed when it is told %d times in a row, for %s", had, emptyTimes, emptyTime)
		default:
			m.success, m.empty, m.held = began, 0, time.Time{}
		}
		status.LastSuccess = m.success
		remembered[scope.Name] = m
		out.scopes = append(out.scopes, status)
	}
	for key, vm := range c.differ {
		if known[key] == nil {
			out.count++
		}
		out.put = append(out.put, *vm)
	}
	for key, vm := range c.missing(known) {
		if keep[vm.Scope] {
			out.count++
		} else {
			out.gone = append(out.gone, key)
		}
	}
	forget(remembered, out.scopes)
	slices.SortFunc(out.put, func(a, b mesh.VM) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.gone, func(a, b mesh.VMKey) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// vanished is why machines stay whose scope is not listed any more.
func vanished(scope string, had int) string {
	if scope == "" {
		return fmt.Sprintf("of %d machines it is not known which scope they are in: they stay as long as a scope cannot be listed", had)
	}
	return fmt.Sprintf("it is not listed any more, and had %d machines: they stay as long as another scope cannot be listed", had)
}

// comparison is of a listing with what is known. It stands between the end of a listing
// and everything that follows from it, so it looks at each machine once.
type comparison struct {
	differ map[mesh.VMKey]*mesh.VM // listed machines that are new or changed, tidy
	listed map[*mesh.VM]struct{}   // known machines that are listed
}

func compare(known Known, scopes []Scope) comparison {
	c := comparison{differ: map[mesh.VMKey]*mesh.VM{}, listed: make(map[*mesh.VM]struct{}, len(known))}
	for i := range scopes {
		if !scopes[i].whole() {
			continue
		}
		for j := range scopes[i].VMs {
			c.add(known, &scopes[i].VMs[j])
		}
	}
	return c
}

// add takes in a machine; what is listed twice is as it is listed last.
func (c *comparison) add(known Known, vm *mesh.VM) {
	before := known[vm.Key()]
	is := before != nil && same(before, vm) // most are, and so they are tidy
	if !is {
		tidy(vm)
		before = known[vm.Key()]
		is = before != nil && same(before, vm)
	}
	if before != nil {
		c.listed[before] = struct{}{}
	}
	if is {
		delete(c.differ, vm.Key())
	} else {
		c.differ[vm.Key()] = vm
	}
}

// missing goes through the known machines that are not listed.
func (c *comparison) missing(known Known) iter.Seq2[mesh.VMKey, *mesh.VM] {
	return func(yield func(mesh.VMKey, *mesh.VM) bool) {
		if len(c.listed) == len(known) {
			return
		}
		for key, vm := range known {
			if _, is := c.listed[vm]; !is && !yield(key, vm) {
				return
			}
		}
	}
}

// withVanished adds the scopes that had machines and are not listed any more: the settings
// name them no longer, or the source may not see them.
func withVanished(scopes []Scope, missing map[string]int) []Scope {
	there := map[string]bool{}
	for i := range scopes {
		there[scopes[i].Name] = true
	}
	out := slices.Clone(scopes)
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		if !there[name] {
			out = append(out, Scope{Name: name})
		}
	}
	return out
}

// forget leaves what is remembered of the scopes that there are.
func forget(remembered map[string]memory, scopes []mesh.DiscoveryScope) {
	maps.DeleteFunc(remembered, func(name string, _ memory) bool {
		return !slices.ContainsFunc(scopes, func(s mesh.DiscoveryScope) bool { return s.Name == name })
	})
}

// same says whether two machines differ in nothing but what the registry says of them.
// What is empty is the same as what is left out: the registry does not tell them apart.
func same(a, b *mesh.VM) bool {
	return a.Source == b.Source && a.ID == b.ID && a.Name == b.Name && a.PublicIP == b.PublicIP && a.PrivateIP == b.PrivateIP && a.State == b.State && a.Health == b.Health &&
		a.Region == b.Region && a.Zone == b.Zone && a.ScaleSet == b.ScaleSet && a.Scope == b.Scope && a.Weight == b.Weight &&
		maps.Equal(a.Tags, b.Tags) && slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Runs, b.Runs) && slices.Equal(a.Faults, b.Faults)
}
