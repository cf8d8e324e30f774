package placement

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// state is what a placer knows of a set between looks.
type state struct {
	written Written             // the set is looked at again once the view has it
	told    string              // why it could not be written, as it was logged last
	made    map[mesh.VMKey]made // what machines came to, which seldom changes
}

// made is what a machine came to as long as what it came of stays.
type made struct {
	of         *mesh.VM
	declared   *mesh.Service
	registered bool
	instance   *mesh.Instance // nil: it is none
}

// mostWrites is how many sets are written at a time.
const mostWrites = 8

// difference is what a set lacks.
type difference struct {
	set    Set
	state  *state
	wanted map[mesh.InstanceID]*mesh.Instance
	change mesh.KeptChange
	err    error
}

// write has what differs of the services that are due written, and says whether all of it was.
func (p *Placer) write(ctx context.Context, view *catalog.View) bool {
	var all []*difference
	for name := range p.due {
		differences, ahead := p.differences(view, name)
		all = append(all, differences...)
		if !ahead { // what was written comes with the next view, and has it looked at again
			delete(p.due, name)
		}
	}
	group := errgroup.Group{}
	group.SetLimit(mostWrites)
	for _, one := range all {
		group.Go(func() error { one.err = p.keep(ctx, one); return nil })
	}
	_ = group.Wait() // each has its own error
	good := true
	for _, one := range all {
		if p.tell(one); one.err != nil {
			good, p.due[one.set.Service] = false, true
		}
	}
	return good
}

// differences are those of a service's sets; ahead says that one was written later than
// the view is.
func (p *Placer) differences(view *catalog.View, name mesh.ServiceName) (out []*difference, ahead bool) {
	wanted := map[string]map[mesh.InstanceID]*mesh.Instance{}
	if s := p.wanting[name]; s != nil {
		registered := registeredAt(view, name)
		for _, source := range s.Endpoints.VMs.Sources {
			wanted[source] = p.instances(s, source, registered)
		}
	}
	for source := range p.kept[name] { // of sources that the service wants no more, too
		if wanted[source] == nil {
			wanted[source] = map[mesh.InstanceID]*mesh.Instance{}
		}
	}
	for source, instances := range wanted {
		one := &difference{set: Set{name, source}, wanted: instances}
		one.state = p.state(one.set)
		if view.Revision() < one.state.written.Revision {
			ahead = true
			continue
		}
		if one.change = differ(p.kept[name][source], instances); len(one.change.Instances)+len(one.change.Removed) > 0 {
			out = append(out, one)
		}
	}
	return out, ahead
}

func (p *Placer) state(set Set) *state {
	if p.sets[set] == nil {
		p.sets[set] = &state{made: map[mesh.VMKey]made{}}
	}
	return p.sets[set]
}

// instances are what a service is to have of a source.
func (p *Placer) instances(s *mesh.Service, source string, registered map[string]bool) map[mesh.InstanceID]*mesh.Instance {
	candidates, known := p.machines.candidates(s, source), p.state(Set{s.Name, source}).made
	out := make(map[mesh.InstanceID]*mesh.Instance, len(candidates))
	for key, vm := range candidates {
		one := known[key]
		if at := registered[address(s, vm)]; one.of != vm || one.declared != s || one.registered != at {
			one = made{of: vm, declared: s, registered: at}
			if means(s, vm) {
				if made, why := instance(s, vm, at); why == "" {
					one.instance = &made
				}
			}
			known[key] = one
		}
		if one.instance != nil {
			out[one.instance.ID] = one.instance
		}
	}
	if len(known) > 2*len(candidates)+16 {
		maps.DeleteFunc(known, func(key mesh.VMKey, _ made) bool { return candidates[key] == nil })
	}
	return out
}

// differ compares the instances of a set with those that are wanted.
func differ(kept, wanted map[mesh.InstanceID]*mesh.Instance) mesh.KeptChange {
	var out mesh.KeptChange
	for id, one := range wanted {
		if is := kept[id]; is == nil || !same(is, one) {
			out.Instances = append(out.Instances, *one)
		}
	}
	for id := range kept {
		if wanted[id] == nil {
			out.Removed = append(out.Removed, id)
		}
	}
	return out
}

// keep writes a difference: alone where that can be, or else by the full set.
func (p *Placer) keep(ctx context.Context, one *difference) error {
	if base := one.state.written.Base; base != 0 {
		one.change.Base = base
		written, err := p.cfg.Keeper.Change(ctx, one.set.Service, one.set.Source, one.change)
		if err == nil {
			one.state.written = written
			return nil
		}
		one.state.written.Base = 0
	}
	list := make([]mesh.Instance, 0, len(one.wanted))
	for _, instance := range one.wanted {
		list = append(list, *instance)
	}
	slices.SortFunc(list, func(a, b mesh.Instance) int { return cmp.Compare(a.ID, b.ID) })
	written, err := p.cfg.Keeper.Keep(ctx, one.set.Service, one.set.Source, list)
	if err == nil {
		one.state.written = written
	}
	return err
}

// tell logs why a set could not be written when it is another reason than before.
func (p *Placer) tell(one *difference) {
	if one.err == nil {
		one.state.told = ""
		return
	}
	if one.state.told != one.err.Error() {
		one.state.told = one.err.Error()
		p.cfg.Logger.Warn("the machines of a service could not be written; it is tried again", "service", one.set.Service, "source", one.set.Source, "error", one.err)
	}
}

func same(a, b *mesh.Instance) bool {
	return a.Address == b.Address && a.Port == b.Port && a.Locality == b.Locality && a.Weight == b.Weight &&
		cmp.Or(a.Health, mesh.Healthy) == cmp.Or(b.Health, mesh.Healthy) && a.MTLS == b.MTLS && maps.Equal(a.Labels, b.Labels)
}
