package discovery

import (
	"cmp"
	"fmt"
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
	listed := map[mesh.VMKey]*mesh.VM{}
	for i := range listing.Scopes {
		for j := range listing.Scopes[i].VMs {
			if vm := &listing.Scopes[i].VMs[j]; listing.Scopes[i].whole() {
				listed[vm.Key()] = vm
			}
		}
	}
	missing := map[string]int{} // known machines that are not listed, by scope
	for key, vm := range known {
		if listed[key] == nil {
			missing[vm.Scope]++
		}
	}
	out, keep := merged{count: len(listed)}, map[string]bool{}
	out.failed = slices.ContainsFunc(listing.Scopes, func(s Scope) bool { return !s.whole() })
	for i, scope := range withVanished(listing.Scopes, missing) {
		m := remembered[scope.Name]
		status := mesh.DiscoveryScope{Name: scope.Name, VMs: len(scope.VMs)}
		switch had := missing[scope.Name]; {
		case !scope.whole():
			m.empty = 0
			keep[scope.Name], status.VMs, status.Error, status.NotBefore = true, had, m.fault, m.notBefore
		case scope.Doubt != nil:
			m.empty = 0
			out.held, status.Held, status.Error, status.NotBefore = true, scope.Held, scope.Doubt.Error(), m.notBefore
		case i >= len(listing.Scopes) && out.failed: // another scope may have its machines, such as a group those of a subscription
			out.held, keep[scope.Name], status.VMs, status.Held = true, true, had, had
			status.Error = fmt.Sprintf("it is not listed any more, and had %d machines: they stay as long as another scope cannot be listed", had)
		case len(scope.VMs) == 0 && had > 0 && !m.believed(began):
			out.held, keep[scope.Name], status.VMs, status.Held = true, true, had, had
			status.Error = fmt.Sprintf("it seems to have no machines any more, and had %d: believed when it is told %d times in a row, for %s", had, emptyTimes, emptyTime)
		default:
			m.success, m.empty = began, 0
		}
		status.LastSuccess = m.success
		remembered[scope.Name] = m
		out.scopes = append(out.scopes, status)
	}
	for key, vm := range listed {
		if before := known[key]; before == nil || !same(before, vm) {
			out.put = append(out.put, *vm)
		}
	}
	for key, vm := range known {
		switch {
		case listed[key] != nil:
		case keep[vm.Scope]:
			out.count++
		default:
			out.gone = append(out.gone, key)
		}
	}
	forget(remembered, out.scopes)
	slices.SortFunc(out.put, func(a, b mesh.VM) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.gone, func(a, b mesh.VMKey) int { return cmp.Compare(a.ID, b.ID) })
	return out
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
