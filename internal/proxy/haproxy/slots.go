package haproxy

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// leastSlots is how many slots a service has at least.
const leastSlots = 8

// slotsFor leaves room for half as many instances more.
func slotsFor(instances int) int {
	n := leastSlots
	for n < instances+instances/2 {
		n *= 2
	}
	return n
}

// fit puts the instances of what is wanted into the slots of what runs. shape is what
// runs with them: the services and listeners that it had, changed in nothing that needs a
// reload. next is what a reload is to bring; it has the same shape if none is needed.
func fit(running, wanted plan) (now, next plan) {
	now = plan{Listeners: running.Listeners, Services: make([]service, 0, len(running.Services))}
	next = plan{Listeners: wanted.Listeners, Services: make([]service, 0, len(wanted.Services))}
	instances := make(map[mesh.ServiceName][]slot, len(wanted.Services))
	for _, s := range wanted.Services {
		instances[s.Name] = s.Slots
	}
	kept := make(map[mesh.ServiceName][]slot, len(running.Services))
	for _, s := range running.Services {
		s.Slots = place(s.Slots, instances[s.Name])
		kept[s.Name] = s.Slots
		now.Services = append(now.Services, s)
	}
	for _, s := range wanted.Services {
		slots, there := kept[s.Name]
		if !there || len(slots) < len(s.Slots) {
			slots = place(slices.Repeat([]slot{{Weight: 1}}, slotsFor(len(s.Slots))), s.Slots)
		}
		s.Slots = slots
		next.Services = append(next.Services, s)
	}
	return now, next
}

// place gives each instance the slot that it has, or had, or else a free one, for as long
// as there are any. The slots that are given are not written to.
func place(slots, instances []slot) []slot {
	placed := slices.Clone(slots)
	at := map[netip.AddrPort]int{}
	for i := range placed {
		placed[i].State = gone
		if placed[i].Address.IsValid() {
			at[placed[i].Address] = i
		}
	}
	var others []slot
	for _, one := range instances {
		if i, has := at[one.Address]; has {
			placed[i] = one
		} else {
			others = append(others, one)
		}
	}
	for _, one := range others {
		if i := free(placed); i >= 0 {
			placed[i] = one
		}
	}
	return placed
}

// free finds a slot without a server, rather one that never had any: what left may
// come back.
func free(slots []slot) int {
	fresh := slices.IndexFunc(slots, func(s slot) bool { return !s.Address.IsValid() })
	if fresh >= 0 {
		return fresh
	}
	return slices.IndexFunc(slots, func(s slot) bool { return s.State == gone })
}

// sameShape says whether two plans differ in their slots' servers alone, which the
// Runtime API can change.
func sameShape(a, b plan) bool {
	return slices.Equal(a.Listeners, b.Listeners) && slices.EqualFunc(a.Services, b.Services, func(a, b service) bool {
		same := len(a.Slots) == len(b.Slots)
		a.Slots, b.Slots = nil, nil
		return same && reflect.DeepEqual(a, b)
	})
}

// afterLoad is what HAProxy has once it has read the configuration of a plan: servers
// that drain are written as if they were in maintenance, for there is no word for them.
func (p plan) afterLoad() plan {
	loaded := plan{Listeners: p.Listeners, Services: slices.Clone(p.Services)}
	for i := range loaded.Services {
		s := &loaded.Services[i]
		s.Slots = slices.Clone(s.Slots)
		for j := range s.Slots {
			if s.Slots[j].State == draining {
				s.Slots[j].State = maint
			}
		}
	}
	return loaded
}

// command is one of the Runtime API's, and whether it answers with a line when done.
type command struct {
	text    string
	answers bool
}

// commands lead from one plan to another of the same shape. Servers that come are first,
// so that a service all of whose copies are replaced is never without.
func commands(from, to plan) []command {
	var come, leave []command
	for i, s := range to.Services {
		for j, want := range s.Slots {
			has := from.Services[i].Slots[j]
			if has == want || has.State == gone && want.State == gone {
				continue
			}
			list := &come
			if want.State < has.State {
				list = &leave
			}
			*list = append(*list, slotCommands(fmt.Sprintf("%s/%s", backendName(s), slotName(j)), has, want)...)
		}
	}
	return append(come, leave...)
}

func slotCommands(server string, has, want slot) []command {
	var list []command
	set := func(answers bool, format string, values ...any) {
		list = append(list, command{"set server " + server + " " + fmt.Sprintf(format, values...), answers})
	}
	if want.State.String() != has.State.String() && want.State != ready {
		set(false, "state %s", want.State)
	}
	if has.Address != want.Address {
		set(true, "addr %s port %d", want.Address.Addr(), want.Address.Port())
	}
	if has.Weight != want.Weight {
		set(false, "weight %d", want.Weight)
	}
	if want.State.String() != has.State.String() && want.State == ready {
		set(false, "state %s", want.State)
	}
	return list
}
