package placement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Set names the instances that a service has of a source.
type Set struct {
	Service mesh.ServiceName
	Source  string
}

// Compare orders sets by service and source.
func (s Set) Compare(other Set) int {
	return cmp.Or(cmp.Compare(s.Service, other.Service), cmp.Compare(s.Source, other.Source))
}

// Placement is which machines run what. It is shared and must not be changed.
type Placement struct {
	Sets map[Set][]mesh.Instance // sorted by ID; empty where no machine is fit
	Of   map[mesh.VMKey]*Placed  // of every machine
	Over map[Set]int             // of those that more machines are fit for than they may have: how many
}

// Placed is what becomes of a machine.
type Placed struct {
	As  []mesh.VMPlace // the instances that it is
	Not []Reason       // why it is not an instance of what it names, or of anything
}

// Reason is why a machine is not an instance of a service.
type Reason struct {
	Service mesh.ServiceName // empty: of any
	Why     string
}

// String says it whole.
func (r Reason) String() string {
	if r.Service == "" {
		return r.Why
	}
	return fmt.Sprintf("not an instance of %s: %s", r.Service, r.Why)
}

// Place says which machines are instances of which services.
func Place(view *catalog.View) *Placement {
	p := &placing{view: view, machines: newMachines(view), out: &Placement{Sets: map[Set][]mesh.Instance{}, Of: make(map[mesh.VMKey]*Placed, view.VMCount()), Over: map[Set]int{}}}
	for key := range p.machines.all {
		p.out.Of[key] = &Placed{}
	}
	wanting := slices.SortedFunc(view.WantsMachines(), func(a, b *mesh.Service) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range wanting {
		p.service(s)
	}
	for key, vm := range p.machines.all {
		p.leftOver(vm, p.out.Of[key])
	}
	return p.out
}

// placing is a Place under way.
type placing struct {
	view     *catalog.View
	machines *machines
	out      *Placement
}

// service places the machines of one service.
func (p *placing) service(s *mesh.Service) {
	registered := map[string]bool{}
	for _, one := range p.view.Instances(s.Name) {
		if at := one.RegisteredAt(); at != "" {
			registered[at] = true
		}
	}
	for _, source := range s.Endpoints.VMs.Sources {
		var all []fit
		for key, vm := range p.machines.candidates(s, source) {
			if !means(s, vm) {
				continue
			}
			one, why := instance(s, vm, registered[address(s, vm)])
			if why == "" {
				all = append(all, fit{key, &one})
				continue
			}
			p.not(key, s.Name, why)
		}
		set := Set{s.Name, source}
		chosen, left := choose(all)
		if len(left) > 0 {
			p.out.Over[set] = len(all)
		}
		for key, why := range left {
			p.not(key, s.Name, why)
		}
		list := make([]mesh.Instance, len(chosen))
		for i, one := range chosen {
			list[i] = *one.instance
			placed := p.out.Of[one.key]
			placed.As = append(placed.As, mesh.VMPlace{Service: s.Name, Instance: list[i].ID, Port: list[i].Port})
		}
		p.out.Sets[set] = list
	}
}

func (p *placing) not(key mesh.VMKey, service mesh.ServiceName, why string) {
	placed := p.out.Of[key]
	placed.Not = append(placed.Not, Reason{service, why})
}

// hasAll says whether a machine has tags of these values; the case of names does not matter.
func hasAll(vm *mesh.VM, tags map[string]string) bool {
	for name, value := range tags {
		is, has := vm.Tag(name)
		if !has || is != value {
			return false
		}
	}
	return true
}

// address is where callers of a service reach a machine, or "".
func address(s *mesh.Service, vm *mesh.VM) string {
	if s.Endpoints.VMs.Address == mesh.PublicAddress {
		return vm.PublicIP
	}
	return vm.PrivateIP
}

// instance is what a machine is of a service, or why it is none; registered says that
// an instance at its address keeps itself registered.
func instance(s *mesh.Service, vm *mesh.VM, registered bool) (mesh.Instance, string) {
	wanted := s.Endpoints.VMs
	out := mesh.Instance{
		ID: mesh.VMInstance(vm.Key(), vm.Name), Service: s.Name, Address: address(s, vm), Port: cmp.Or(wanted.Port, s.Port),
		Locality: mesh.Locality{Region: vm.Region, Zone: vm.Zone}, Weight: vm.Weight, Labels: labels(s, vm),
	}
	for _, one := range vm.Runs {
		if one.Name == s.Name && one.Port != 0 {
			out.Port = one.Port
		}
	}
	switch vm.State {
	case mesh.VMRunning, mesh.VMUnknown:
	case mesh.VMStopping:
		out.Health = mesh.Draining
	default:
		return out, "it is " + string(vm.State)
	}
	switch {
	case out.Address == "":
		return out, fmt.Sprintf("it has no %s address", cmp.Or(wanted.Address, mesh.PrivateAddress))
	case registered:
		return out, "it keeps itself registered, at the same address"
	case vm.Health == mesh.VMUnhealthy:
		out.Health = mesh.Unhealthy
	}
	if faults := slices.Concat(out.Validate(), out.OwnHostFaults()); len(faults) > 0 {
		return out, faults.String()
	}
	return out, ""
}

// labels are those tags of a machine that subsets of the service ask for: a tag that
// nobody asks for changes nothing for callers.
func labels(s *mesh.Service, vm *mesh.VM) map[string]string {
	var out map[string]string
	for _, subset := range s.Subsets {
		for key := range subset.Labels {
			if value, has := vm.Tag(key); has {
				if out == nil {
					out = map[string]string{}
				}
				out[key] = value
			}
		}
	}
	return out
}

// leftOver says of a machine why services that its tags name do not have it.
func (p *placing) leftOver(vm *mesh.VM, placed *Placed) {
	for _, one := range vm.Runs {
		s, declared := p.view.Service(one.Name)
		switch {
		case !declared:
			placed.Not = append(placed.Not, Reason{one.Name, "no such service is declared"})
		case s.Endpoints.VMs == nil || !slices.Contains(s.Endpoints.VMs.Sources, vm.Source):
			placed.Not = append(placed.Not, Reason{one.Name, fmt.Sprintf("its declaration does not have source %s in endpoints.vms.sources", vm.Source)})
		case len(s.Endpoints.VMs.Tags) > 0 && !hasAll(vm, s.Endpoints.VMs.Tags):
			placed.Not = append(placed.Not, Reason{one.Name, "it does not have the tags of endpoints.vms.tags"})
		}
	}
	if len(placed.As)+len(placed.Not) == 0 {
		why := "its tags name no service, and no service asks for its tags"
		if len(vm.Faults) > 0 { // one of them may have named it
			why = "its tags name no service that can be taken (see its faults), and no service asks for its tags"
		}
		placed.Not = []Reason{{Why: why}}
	}
}
