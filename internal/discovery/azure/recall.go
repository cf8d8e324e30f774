package azure

import (
	"maps"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// recall is what the mesh has of the source's machines, found by this server or by another
// before it: by their IDs, or by what the registry has instead (see idOf).
type recall map[string]*mesh.VM

func recalled(known discovery.Known) recall {
	out := make(recall, len(known))
	for _, vm := range known {
		at, _ := idOf(vm)
		out[at] = vm
	}
	return out
}

// of gives what the mesh has of a machine, by whichever of its names.
func (r recall) of(id string) *mesh.VM {
	for _, at := range names(id) {
		if vm := r[at]; vm != nil {
			return vm
		}
	}
	return nil
}

// names are what a machine may be recalled by: its ID, the registry's if that does not tell
// it, and the one that the registry had before such IDs were encoded.
func names(id string) []string {
	if discovery.TidyID(id) == id {
		return []string{id}
	}
	return []string{id, key(id), discovery.TidyID(id)}
}

// missing are the IDs of a scope's machines that are known and not listed.
func (r recall) missing(scope string, listed map[string]bool) []string {
	var out []string
	for at, vm := range r {
		if (vm.Scope == scope || strings.HasPrefix(at, scope+"/")) && !listed[at] {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return out
}

// wire is what a machine's addresses hang on, as it was listed last as a whole: the IDs of
// its interfaces, and of their public addresses.
type wire struct{ nics, public string }

func joined(nics []nicRef) string {
	var ids []string
	for _, one := range nics {
		ids = append(ids, one.id)
	}
	return strings.Join(ids, " ")
}

// forget leaves what is remembered of machines that are known or listed.
func (s *Source) forget(r recall, parts []part) {
	listed := map[string]bool{}
	for i := range parts {
		for j := range parts[i].machines {
			listed[parts[i].machines[j].id] = true
		}
	}
	maps.DeleteFunc(s.wired, func(at string, _ wire) bool { return !listed[at] && r.of(at) == nil })
}
