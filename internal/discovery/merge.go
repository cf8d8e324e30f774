package discovery

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// emptyTimes is how often in a row a scope that had machines has to be listed as empty
// until that is believed: who loses the right to see machines is told that there are none.
const emptyTimes = 3

// memory is what a refresher remembers of a scope between refreshes.
type memory struct {
	success time.Time
	empty   int // how often in a row it was empty although machines are known
}

// merged is what follows from a listing.
type merged struct {
	put    []mesh.VM
	gone   []mesh.VMKey
	count  int // of the machines that there are then
	scopes []mesh.DiscoveryScope
	whole  bool // no scope failed, and none is held
}

// merge compares a listing with what is known of the source. A scope that failed, or that
// seems to be empty all at once, keeps what it had; one that is not listed any more, because
// the settings do not name it, has none.
func merge(known map[mesh.VMKey]*mesh.VM, listing Listing, remembered map[string]memory, began time.Time) merged {
	had := map[string]int{}
	for _, vm := range known {
		had[vm.Scope]++
	}
	out, keep, listed := merged{whole: true}, map[string]bool{}, map[mesh.VMKey]*mesh.VM{}
	for i := range listing.Scopes {
		scope := &listing.Scopes[i]
		m := remembered[scope.Name]
		status := mesh.DiscoveryScope{Name: scope.Name, VMs: len(scope.VMs)}
		m.empty++
		switch {
		case scope.Err != nil:
			m.empty = 0
			keep[scope.Name], status.VMs, status.Error = true, had[scope.Name], scope.Err.Error()
		case len(scope.VMs) == 0 && had[scope.Name] > 0 && m.empty < emptyTimes:
			keep[scope.Name], status.VMs, status.Held = true, had[scope.Name], had[scope.Name]
			status.Error = fmt.Sprintf("it seems to have no machines any more, and had %d: believed when it is told %d times in a row", had[scope.Name], emptyTimes)
		default:
			m.success = began
			if len(scope.VMs) > 0 {
				m.empty = 0
			}
			for j := range scope.VMs {
				listed[scope.VMs[j].Key()] = &scope.VMs[j]
			}
		}
		status.LastSuccess = m.success
		remembered[scope.Name] = m
		out.whole = out.whole && !keep[scope.Name]
		out.scopes = append(out.scopes, status)
	}
	out.count = len(listed)
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
	maps.DeleteFunc(remembered, func(name string, _ memory) bool {
		return !slices.ContainsFunc(listing.Scopes, func(s Scope) bool { return s.Name == name })
	})
	slices.SortFunc(out.put, func(a, b mesh.VM) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.gone, func(a, b mesh.VMKey) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// same says whether two machines differ in nothing but what the registry says of them.
// What is empty is the same as what is left out: the registry does not tell them apart.
func same(a, b *mesh.VM) bool {
	if !maps.Equal(a.Tags, b.Tags) || !slices.Equal(a.Addresses, b.Addresses) || !slices.Equal(a.Runs, b.Runs) || !slices.Equal(a.Faults, b.Faults) {
		return false
	}
	return reflect.DeepEqual(plain(a), plain(b))
}

// plain is a machine without its lists and what the registry says of it.
func plain(vm *mesh.VM) mesh.VM {
	out := *vm
	out.Tags, out.Addresses, out.Runs, out.Faults, out.Meta = nil, nil, nil, nil, mesh.Meta{}
	return out
}
