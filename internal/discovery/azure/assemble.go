package azure

import (
	"fmt"
	"maps"
	"slices"
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
	sets     map[string]bool   // the uniform scale sets whose machines are all there
}

// machine is one as Azure says it is.
type machine struct {
	id, name, region, zone, scaleSet string
	tags                             map[string]string
	set                              map[string]string // the tags of the uniform scale set that it is in
	power, provisioning, health      string            // the last parts of Azure's codes, in lower case
	unseen                           bool              // it is not in the list of what machines do
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

// assemble makes the scopes of a subscription.
func (s *Source) assemble(p *part, r recall) []discovery.Scope {
	var out []discovery.Scope
	for _, name := range p.subscription.scopes() {
		scope := discovery.Scope{Name: name, Err: p.err}
		if hidden, is := p.hidden[name]; is && scope.Err == nil {
			scope.Err = hidden
		}
		for i := range p.machines {
			m := &p.machines[i]
			if scope.Err == nil && strings.HasPrefix(m.id, name+"/") && s.selects(m) {
				scope.VMs = append(scope.VMs, s.vm(m, &p.found, r.of(m.id)))
			}
		}
		if scope.Err == nil {
			p.hold(&scope, r)
			scope.Proven = true // see prove.go: all others that were known are gone
		}
		out = append(out, scope)
	}
	return out
}

// kept is said of a machine that is not listed any more.
const kept = "it is not listed any more, and may not be gone: it stays as it was (the status of its scope says why)"

// hold adds to a scope the machines that are not listed any more and may not be gone.
func (p *part) hold(scope *discovery.Scope, r recall) {
	for _, at := range slices.Sorted(maps.Keys(p.held)) {
		vm := r[at]
		if vm.Scope != scope.Name && !strings.HasPrefix(at, scope.Name+"/") {
			continue
		}
		again := *vm
		if !slices.Contains(again.Faults, kept) {
			again.Faults = append(slices.Clone(again.Faults), kept)
		}
		scope.VMs, scope.Held = append(scope.VMs, again), scope.Held+1
		if scope.Doubt == nil {
			scope.Doubt = p.held[at]
		}
	}
	if scope.Doubt != nil {
		scope.Doubt = fmt.Errorf("%d machines are not listed any more, and stay because they may not be gone: %w", scope.Held, scope.Doubt)
	}
}

// selects says whether a machine is wanted, by its tags. One of a uniform scale set is if
// the set is, unless tags of its own say other things.
func (s *Source) selects(m *machine) bool {
	return selected(m.tags, s.cfg.Select) && (m.set == nil || selected(m.set, s.cfg.Select))
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

// vm makes what the mesh has of a machine. had is what it had of it before, or nil.
func (s *Source) vm(m *machine, f *found, had *mesh.VM) mesh.VM {
	vm := mesh.VM{ID: key(m.id), Name: m.name, Region: m.region, Zone: m.zone, ScaleSet: m.scaleSet, Tags: m.tags}
	vm.State = state(m, &vm, had)
	vm.Health = health(m.health)
	s.addresses(m, f, &vm, had)
	s.cfg.Tags.Read(&vm)
	return vm
}

func fault(vm *mesh.VM, format string, args ...any) {
	vm.Faults = append(vm.Faults, fmt.Sprintf(format, args...))
}

// state is what Azure's power and provisioning states come to.
func state(m *machine, vm *mesh.VM, had *mesh.VM) mesh.VMState {
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
	switch {
	case m.provisioning == "creating":
		return mesh.VMStarting
	case m.power != "" && m.power != "unknown":
	case had != nil && had.State != mesh.VMUnknown && had.State != mesh.VMStarting:
		fault(vm, "Azure does not say whether it runs: it is taken to be %s, as it was", had.State)
		return had.State
	case m.unseen:
		fault(vm, "it is not in Azure's list of what machines do yet: it is taken to run when it is")
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
