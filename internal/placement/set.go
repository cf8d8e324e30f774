package placement

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// service is what a placer knows of one that wants machines, or has some.
type service struct {
	name       mesh.ServiceName
	declared   *mesh.Service // nil: it wants none
	list       []*mesh.Instance
	registered map[string]int // how many instances keep themselves registered at an address
	sets       map[string]*set
}

// set is what a placer knows of the instances that a service has of a source. Of its
// machines and instances only those that are due are looked at.
type set struct {
	of     Set
	whole  bool // all of its machines are to be looked at
	due    map[mesh.VMKey]struct{}
	fit    map[mesh.VMKey]*mesh.Instance
	wanted map[mesh.InstanceID]*mesh.Instance // of fit, all of them but if choose left some out
	left   int                                // how many it did
	kept   map[mesh.InstanceID]*mesh.Instance // that there are
	differ map[mesh.InstanceID]struct{}       // in which wanted and kept may differ

	writing bool
	written Written // it is looked at again once the view has it
	fault   fault
}

// fault is why a set could not be written.
type fault struct {
	err   error // nil: there is none
	away  bool  // etcd took nobody's writes
	taken bool  // all is written but for instances whose IDs are others'
	tries int
	since time.Time
	last  time.Time // try
	next  time.Time
}

func newSet(of Set) *set {
	return &set{
		of: of, whole: true, due: map[mesh.VMKey]struct{}{}, fit: map[mesh.VMKey]*mesh.Instance{}, wanted: map[mesh.InstanceID]*mesh.Instance{},
		kept: map[mesh.InstanceID]*mesh.Instance{}, differ: map[mesh.InstanceID]struct{}{},
	}
}

// took takes in what changed of a service's instances, and has the sets looked at that
// this concerns.
func (s *service) took(list []*mesh.Instance, machines *machines, due func(*set)) {
	moved := map[string]bool{} // addresses at which one registers itself now, or does no more
	differing(s.list, list, func(was, is *mesh.Instance) {
		if source := sourceOf(was); source != "" {
			set := s.set(source)
			delete(set.kept, was.ID)
			set.differ[was.ID] = struct{}{}
			due(set)
		}
		if source := sourceOf(is); source != "" {
			set := s.set(source)
			set.kept[is.ID] = is
			set.differ[is.ID] = struct{}{}
			due(set)
		}
		if from, to := was.RegisteredAt(), is.RegisteredAt(); from != to {
			s.registered[from]--
			s.registered[to]++
			moved[from], moved[to] = true, true
		}
	})
	s.list = list
	delete(moved, "")
	delete(s.registered, "")
	for at := range moved {
		if s.registered[at] == 0 {
			delete(s.registered, at)
		}
	}
	if len(moved) == 0 || s.declared == nil {
		return
	}
	for _, source := range s.declared.Endpoints.VMs.Sources {
		for key, vm := range machines.candidates(s.declared, source) {
			if moved[address(s.declared, vm)] {
				s.set(source).due[key] = struct{}{}
				due(s.set(source))
			}
		}
	}
}

// sourceOf is the source of the machine that an instance is, or "".
func sourceOf(one *mesh.Instance) string {
	if one == nil {
		return ""
	}
	return one.Meta.Keeper.VMSource()
}

func (s *service) set(source string) *set {
	if s.sets[source] == nil {
		s.sets[source] = newSet(Set{s.name, source})
	}
	return s.sets[source]
}

// wants says whether the service is declared to have machines of a source.
func (s *service) wants(source string) bool {
	return s.declared != nil && slices.Contains(s.declared.Endpoints.VMs.Sources, source)
}

// look finds what is wanted of the machines that are due.
func (s *service) look(t *set, machines *machines) {
	switch {
	case !s.wants(t.of.Source):
		for key := range t.fit {
			t.put(key, nil)
		}
	case t.whole:
		candidates := machines.candidates(s.declared, t.of.Source)
		for key := range t.fit {
			if candidates[key] == nil {
				t.put(key, nil)
			}
		}
		for key, vm := range candidates {
			t.put(key, s.instance(vm))
		}
	default:
		for key := range t.due {
			t.put(key, s.instance(machines.all[key]))
		}
	}
	t.whole = false
	clear(t.due)
	if t.left > 0 || len(t.fit) > len(t.wanted) || len(t.wanted) > mesh.MostKeptInstances {
		t.choose()
	}
}

// instance is what a machine is of the service, or nil.
func (s *service) instance(vm *mesh.VM) *mesh.Instance {
	if vm == nil || !means(s.declared, vm) {
		return nil
	}
	one, why := instance(s.declared, vm, s.registered[address(s.declared, vm)] > 0)
	if why != "" {
		return nil
	}
	return &one
}

// put notes what a machine is.
func (t *set) put(key mesh.VMKey, now *mesh.Instance) {
	if before := t.fit[key]; before != nil {
		delete(t.fit, key)
		if t.wanted[before.ID] == before {
			delete(t.wanted, before.ID)
			t.differ[before.ID] = struct{}{}
		}
	}
	if now != nil {
		t.fit[key], t.wanted[now.ID] = now, now
		t.differ[now.ID] = struct{}{}
	}
}

// choose has what is wanted of all that are fit be what may be.
func (t *set) choose() {
	all := make([]fit, 0, len(t.fit))
	for key, one := range t.fit {
		all = append(all, fit{key, one})
	}
	chosen, left := choose(all)
	for id := range t.wanted {
		t.differ[id] = struct{}{}
	}
	clear(t.wanted)
	for _, one := range chosen {
		t.wanted[one.instance.ID] = one.instance
		t.differ[one.instance.ID] = struct{}{}
	}
	t.left = len(left)
}

// change is what the set lacks.
func (t *set) change() mesh.KeptChange {
	var out mesh.KeptChange
	for id := range t.differ {
		wanted, is := t.wanted[id], t.kept[id]
		switch {
		case wanted == nil && is == nil || wanted != nil && is != nil && same(is, wanted):
			delete(t.differ, id)
		case wanted == nil:
			out.Removed = append(out.Removed, id)
		default:
			out.Instances = append(out.Instances, *wanted)
		}
	}
	return out
}

// list is all that is wanted, by ID.
func (t *set) list() []mesh.Instance {
	out := make([]mesh.Instance, 0, len(t.wanted))
	for _, one := range t.wanted {
		out = append(out, *one)
	}
	slices.SortFunc(out, func(a, b mesh.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func same(a, b *mesh.Instance) bool {
	return a.Address == b.Address && a.Port == b.Port && a.Locality == b.Locality && a.Weight == b.Weight &&
		cmp.Or(a.Health, mesh.Healthy) == cmp.Or(b.Health, mesh.Healthy) && a.MTLS == b.MTLS && maps.Equal(a.Labels, b.Labels)
}

// differing goes through the instances that two lists, sorted by ID, do not share; was or
// is is nil where there is none. Views share instances that did not change.
func differing(before, now []*mesh.Instance, each func(was, is *mesh.Instance)) {
	for len(before) > 0 || len(now) > 0 {
		switch {
		case len(before) > 0 && len(now) > 0 && before[0] == now[0]:
			before, now = before[1:], now[1:]
		case len(now) == 0 || len(before) > 0 && before[0].ID < now[0].ID:
			each(before[0], nil)
			before = before[1:]
		case len(before) == 0 || now[0].ID < before[0].ID:
			each(nil, now[0])
			now = now[1:]
		default:
			each(before[0], now[0])
			before, now = before[1:], now[1:]
		}
	}
}
