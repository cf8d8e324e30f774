package azure

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// found is what is in a subscription. Its keys are IDs as id makes them.
type found struct {
	machines []machine
	nics     map[string]nic
	public   map[string]string // addresses
	hidden   map[string]error  // scopes that could not be looked at, and why
}

// machine is one as Azure says it is.
type machine struct {
	id, name, region, zone, scaleSet string
	tags                             map[string]string
	power, provisioning, health      string // the last parts of Azure's codes, in lower case
	nics                             []nicRef
}

// nicRef is an interface as its machine names it.
type nicRef struct {
	id      string
	primary bool
}

// nic is a network interface.
type nic struct {
	primary bool
	configs []ipConfig
}

// ipConfig is one of an interface's addresses.
type ipConfig struct {
	private string
	public  string // an ID
	primary bool
}

// id makes an ID comparable, and what the registry has as a machine's.
func id(of string) string { return strings.ToLower(strings.TrimPrefix(of, "/")) }

// assemble makes the scopes of a subscription.
func (s *Source) assemble(p *part) []discovery.Scope {
	var out []discovery.Scope
	for _, name := range p.subscription.scopes() {
		scope := discovery.Scope{Name: name, Err: p.err}
		if hidden, is := p.hidden[name]; is && scope.Err == nil {
			scope.Err = hidden
		}
		for i := range p.machines {
			m := &p.machines[i]
			if scope.Err == nil && strings.HasPrefix(m.id, name+"/") && selected(m.tags, s.cfg.Select) {
				scope.VMs = append(scope.VMs, s.vm(m, &p.found))
			}
		}
		out = append(out, scope)
	}
	return out
}

// selected says whether tags have all that is wanted.
func selected(tags, wanted map[string]string) bool {
	for key, value := range wanted {
		is := false
		for name, has := range tags {
			is = is || strings.EqualFold(name, key) && (value == "" || has == value)
		}
		if !is {
			return false
		}
	}
	return true
}

// inherited are the tags of a machine of a uniform scale set: the set's, and its own.
func inherited(set, own map[string]string) map[string]string {
	out := maps.Clone(own)
	if out == nil {
		out = map[string]string{}
	}
	for key, value := range set {
		has := false
		for name := range own {
			has = has || strings.EqualFold(name, key)
		}
		if !has {
			out[key] = value
		}
	}
	return out
}

// vm makes what the mesh has of a machine.
func (s *Source) vm(m *machine, f *found) mesh.VM {
	vm := mesh.VM{ID: m.id, Name: m.name, Region: m.region, Zone: m.zone, ScaleSet: m.scaleSet, Tags: m.tags}
	vm.State = state(m, &vm)
	vm.Health = health(m.health)
	addresses(m, f, &vm)
	s.cfg.Tags.Read(&vm)
	return vm
}

func fault(vm *mesh.VM, format string, args ...any) {
	vm.Faults = append(vm.Faults, fmt.Sprintf(format, args...))
}

// state is what Azure's power and provisioning states come to.
func state(m *machine, vm *mesh.VM) mesh.VMState {
	if m.provisioning == "failed" {
		fault(vm, "its latest change failed in Azure (provisioning state Failed)")
	}
	if m.provisioning == "deleting" {
		return mesh.VMStopping
	}
	switch m.power {
	case "running":
		return mesh.VMRunning
	case "starting":
		return mesh.VMStarting
	case "stopping", "deallocating":
		return mesh.VMStopping
	case "stopped":
		return mesh.VMStopped
	case "deallocated":
		return mesh.VMDeallocated
	}
	if m.provisioning == "creating" {
		return mesh.VMStarting
	}
	fault(vm, "Azure does not say whether it runs: it is taken to run")
	return mesh.VMUnknown
}

// health is what the application health extension, or a scale set's probe, comes to.
func health(code string) mesh.VMHealth {
	switch code {
	case "healthy":
		return mesh.VMHealthy
	case "unhealthy", "initializing": // of a machine that has just come: nothing on it was seen to serve yet
		return mesh.VMUnhealthy
	default:
		return mesh.VMHealthUnknown
	}
}

// addresses finds a machine's, the primary interface's primary configuration first.
func addresses(m *machine, f *found, vm *mesh.VM) {
	if len(m.nics) == 0 {
		fault(vm, "it has no network interface")
		return
	}
	first := primary(m, f, vm)
	var configs []ipConfig
	for i, ref := range m.nics {
		nic, is := f.nics[ref.id]
		if !is {
			fault(vm, "its network interface %s is not there: deleted meanwhile, or in a resource group that the identity may not read", ref.id)
			continue
		}
		if i == first {
			configs = append(inOrder(nic.configs), configs...)
		} else {
			configs = append(configs, inOrder(nic.configs)...)
		}
	}
	for _, config := range configs {
		addAddress(&vm.PrivateIP, config.private, vm)
		if config.public == "" {
			continue
		}
		if address := f.public[config.public]; address != "" {
			addAddress(&vm.PublicIP, address, vm)
		} else {
			fault(vm, "its public address %s is not there, or has no address yet", config.public)
		}
	}
	if vm.PrivateIP == "" {
		fault(vm, "it has no private address")
	}
}

// primary is which interface is the machine's primary one: Azure says it on the machine,
// and on the interface.
func primary(m *machine, f *found, vm *mesh.VM) int {
	for i, ref := range m.nics {
		if ref.primary || len(m.nics) == 1 {
			return i
		}
	}
	for i, ref := range m.nics {
		if f.nics[ref.id].primary {
			return i
		}
	}
	fault(vm, "none of its %d network interfaces is the primary one: the first is taken", len(m.nics))
	return 0
}

// inOrder has the primary configuration first.
func inOrder(configs []ipConfig) []ipConfig {
	for i, config := range configs {
		if config.primary && i > 0 {
			out := append([]ipConfig{config}, configs[:i]...)
			return append(out, configs[i+1:]...)
		}
	}
	return configs
}

// addAddress sets an address that is not set yet, or adds it to the others.
func addAddress(at *string, address string, vm *mesh.VM) {
	switch {
	case address == "":
	case !valid(address):
		fault(vm, "its address %.60q is none", address)
	case *at == "":
		*at = address
	default:
		vm.Addresses = append(vm.Addresses, address)
	}
}

func valid(address string) bool {
	_, err := netip.ParseAddr(address)
	return err == nil
}
