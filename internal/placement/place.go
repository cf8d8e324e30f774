package placement

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Set names the instances that a service has of a source.
type Set struct {
	Service mesh.ServiceName
	Source  string
}

// Placement is which machines run what.
type Placement struct {
	Sets map[Set][]mesh.Instance // sorted by ID; empty where no machine is fit
	Of   map[mesh.VMKey]Placed   // of every machine
}

// Placed is what becomes of a machine.
type Placed struct {
	As  []mesh.VMPlace // the instances that it is
	Not []string       // why it is not an instance of what it names, or of anything
}

// Place says which machines are instances of which services.
func Place(view *catalog.View) *Placement {
	return place(view, slices.Collect(wanting(view)))
}

// wanting goes through the services that want machines.
func wanting(view *catalog.View) iter.Seq[*mesh.Service] {
	return func(yield func(*mesh.Service) bool) {
		for s := range view.Services() {
			if s.Endpoints.VMs != nil && !yield(s) {
				return
			}
		}
	}
}

func place(view *catalog.View, services []*mesh.Service) *Placement {
	p := &placing{view: view, out: &Placement{Sets: map[Set][]mesh.Instance{}, Of: make(map[mesh.VMKey]Placed, view.VMCount())}}
	p.index()
	for _, s := range services {
		p.service(s)
	}
	for vm := range view.VMs() {
		p.leftOver(vm)
	}
	return p.out
}

// placing is a Place under way.
type placing struct {
	view  *catalog.View
	out   *Placement
	all   map[string][]*mesh.VM // by source
	named map[Set][]*mesh.VM    // by the services that their tags name
}

// index finds the machines by what services ask for.
func (p *placing) index() {
	p.all, p.named = map[string][]*mesh.VM{}, map[Set][]*mesh.VM{}
	for vm := range p.view.VMs() {
		p.all[vm.Source] = append(p.all[vm.Source], vm)
		for _, one := range vm.Runs {
			key := Set{one.Name, vm.Source}
			p.named[key] = append(p.named[key], vm)
		}
	}
}

// service places the machines of one service.
func (p *placing) service(s *mesh.Service) {
	registered := registeredAt(p.view, s.Name)
	for _, source := range s.Endpoints.VMs.Sources {
		set, list := Set{s.Name, source}, []mesh.Instance{}
		for _, vm := range p.candidates(s, source) {
			instance, why := instance(s, vm, registered[address(s, vm)])
			placed := p.out.Of[vm.Key()]
			if why != "" {
				placed.Not = append(placed.Not, fmt.Sprintf("not an instance of %s: %s", s.Name, why))
			} else {
				placed.As = append(placed.As, mesh.VMPlace{Service: s.Name, Instance: instance.ID, Port: instance.Port})
				list = append(list, instance)
			}
			p.out.Of[vm.Key()] = placed
		}
		slices.SortFunc(list, func(a, b mesh.Instance) int { return cmp.Compare(a.ID, b.ID) })
		p.out.Sets[set] = list
	}
}

// candidates are the machines of a source that a service means.
func (p *placing) candidates(s *mesh.Service, source string) []*mesh.VM {
	tags := s.Endpoints.VMs.Tags
	if len(tags) == 0 {
		return p.named[Set{s.Name, source}]
	}
	var found []*mesh.VM
	for _, vm := range p.all[source] {
		if hasAll(vm, tags) {
			found = append(found, vm)
		}
	}
	return found
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

// registeredAt are the addresses of a service's instances that keep themselves registered.
func registeredAt(view *catalog.View, service mesh.ServiceName) map[string]bool {
	out := map[string]bool{}
	for _, one := range view.Instances(service) {
		if one.Meta.Keeper == "" && one.Health != mesh.Removed {
			out[one.Address] = true
		}
	}
	return out
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
func (p *placing) leftOver(vm *mesh.VM) {
	placed := p.out.Of[vm.Key()]
	for _, one := range vm.Runs {
		s, declared := p.view.Service(one.Name)
		switch {
		case !declared:
			placed.Not = append(placed.Not, fmt.Sprintf("not an instance of %s: no such service is declared", one.Name))
		case s.Endpoints.VMs == nil || !slices.Contains(s.Endpoints.VMs.Sources, vm.Source):
			placed.Not = append(placed.Not, fmt.Sprintf("not an instance of %s: its declaration does not have source %s in endpoints.vms.sources", one.Name, vm.Source))
		case len(s.Endpoints.VMs.Tags) > 0 && !hasAll(vm, s.Endpoints.VMs.Tags):
			placed.Not = append(placed.Not, fmt.Sprintf("not an instance of %s: it does not have the tags of endpoints.vms.tags", one.Name))
		}
	}
	if len(placed.As)+len(placed.Not) == 0 {
		placed.Not = []string{"its tags name no service, and no service asks for its tags"}
	}
	p.out.Of[vm.Key()] = placed
}
