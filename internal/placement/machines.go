package placement

import (
	"slices"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// machines are those that there are, by what services ask for.
type machines struct {
	all   map[mesh.VMKey]*mesh.VM
	of    map[string]map[mesh.VMKey]*mesh.VM // by source
	named map[Set]map[mesh.VMKey]*mesh.VM    // by the services that their tags name
}

func newMachines(view *catalog.View) *machines {
	m := &machines{all: make(map[mesh.VMKey]*mesh.VM, view.VMCount()), of: map[string]map[mesh.VMKey]*mesh.VM{}, named: map[Set]map[mesh.VMKey]*mesh.VM{}}
	for vm := range view.AllVMs() {
		m.put(vm.Key(), vm)
	}
	return m
}

// put takes in a machine, nil for one that is gone, and gives what there was before.
func (m *machines) put(key mesh.VMKey, vm *mesh.VM) (before *mesh.VM) {
	if before = m.all[key]; before != nil {
		delete(m.all, key)
		delete(m.of[key.Source], key)
		for _, one := range before.Runs {
			delete(m.named[Set{one.Name, key.Source}], key)
		}
	}
	if vm == nil {
		return before
	}
	m.all[key] = vm
	into(m.of, key.Source, vm)
	for _, one := range vm.Runs {
		into(m.named, Set{one.Name, key.Source}, vm)
	}
	return before
}

func into[K comparable](index map[K]map[mesh.VMKey]*mesh.VM, of K, vm *mesh.VM) {
	if index[of] == nil {
		index[of] = map[mesh.VMKey]*mesh.VM{}
	}
	index[of][vm.Key()] = vm
}

// candidates are the machines of a source of which a service may mean some: see [means].
func (m *machines) candidates(s *mesh.Service, source string) map[mesh.VMKey]*mesh.VM {
	if len(s.Endpoints.VMs.Tags) == 0 {
		return m.named[Set{s.Name, source}]
	}
	return m.of[source]
}

// means says whether a service asks for a machine of one of its sources.
func means(s *mesh.Service, vm *mesh.VM) bool {
	if len(s.Endpoints.VMs.Tags) > 0 {
		return hasAll(vm, s.Endpoints.VMs.Tags)
	}
	return slices.ContainsFunc(vm.Runs, func(one mesh.VMService) bool { return one.Name == s.Name })
}
