package catalog

import (
	"iter"
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// MachinesMark tells views apart by their machines: see [View.MachinesMark].
type MachinesMark struct{ _ byte } // not of size zero: each has an address of its own

// MachinesMark is one and the same for views in which the same machines are instances of
// the same services: nothing has changed of the machines, of the services that want some,
// of which services there are, and of where instances of those keep themselves registered.
func (v *View) MachinesMark() *MachinesMark { return v.machines }

// WantsMachines goes through the services that want machines, in no order.
func (v *View) WantsMachines() iter.Seq[*mesh.Service] { return maps.Values(v.wanting) }

// AsMachines goes through the services that have machines among their instances, in no order.
func (v *View) AsMachines() iter.Seq[mesh.ServiceName] { return maps.Keys(v.asMachines) }

// HasMachines says whether a service has machines among its instances.
func (v *View) HasMachines(service mesh.ServiceName) bool { return v.asMachines[service] > 0 }

// Placeable says whether any machine is to be placed, or was.
func (v *View) Placeable() bool { return len(v.wanting)+len(v.asMachines) > 0 }

// Placing is how that does; never nil.
func (v *View) Placing() *mesh.Placing { return v.placing }

// wants notes whether a service wants machines now.
func (e *edit) wants(s *mesh.Service, deleted bool) {
	before, wanted := e.view.wanting[s.Name], !deleted && s.Endpoints.VMs != nil
	_, there := e.view.services.get(s.Name)
	if before != nil || wanted || there == deleted {
		e.view.machines = new(MachinesMark)
	}
	if before == nil && !wanted {
		return
	}
	e.ownMachines()
	if wanted {
		e.view.wanting[s.Name] = s
	} else {
		delete(e.view.wanting, s.Name)
	}
}

// ownMachines copies what this edit is to change, once.
func (e *edit) ownMachines() {
	if e.owns {
		return
	}
	wanting, as := make(map[mesh.ServiceName]*mesh.Service, len(e.view.wanting)), make(map[mesh.ServiceName]int, len(e.view.asMachines))
	maps.Copy(wanting, e.view.wanting)
	maps.Copy(as, e.view.asMachines)
	e.owns, e.view.wanting, e.view.asMachines = true, wanting, as
}

// placed notes what an instance that comes, changes or goes has to do with machines.
func (e *edit) placed(service mesh.ServiceName, before, now *mesh.Instance) {
	if e.view.wanting[service] != nil && before.RegisteredAt() != now.RegisteredAt() {
		e.view.machines = new(MachinesMark)
	}
	more := isMachine(now) - isMachine(before)
	if more == 0 {
		return
	}
	e.ownMachines()
	if e.view.asMachines[service] += more; e.view.asMachines[service] == 0 {
		delete(e.view.asMachines, service)
	}
}

func isMachine(one *mesh.Instance) int {
	if one != nil && one.Meta.Keeper.VMSource() != "" {
		return 1
	}
	return 0
}

func find(list []*mesh.Instance, id mesh.InstanceID) *mesh.Instance {
	if i, found := slices.BinarySearchFunc(list, id, compareID); found {
		return list[i]
	}
	return nil
}
