package placement

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Cache shares what [Place] says among all who ask: it is made anew only when something
// has changed that it depends on. The zero value is ready; nil keeps nothing.
type Cache struct {
	latest atomic.Pointer[Shown]
	making sync.Mutex // held by who makes the next one: others wait for that
}

// Shown is a placement and what is told of it. It is shared and must not be changed.
type Shown struct {
	*Placement
	List []mesh.ListedVM // all machines, by source and ID
	Tag  string          // another one for other machines or other placements; the same on every server
	mark *catalog.MachinesMark
}

// Of gives the placement of a view.
func (c *Cache) Of(view *catalog.View) *Shown {
	if c == nil {
		return show(view)
	}
	if made := c.latest.Load(); made != nil && made.mark == view.MachinesMark() {
		return made
	}
	c.making.Lock()
	defer c.making.Unlock()
	if made := c.latest.Load(); made != nil && made.mark == view.MachinesMark() {
		return made
	}
	made := show(view)
	c.latest.Store(made)
	return made
}

func show(view *catalog.View) *Shown {
	out := &Shown{Placement: Place(view), List: make([]mesh.ListedVM, 0, view.VMCount()), mark: view.MachinesMark()}
	sum := fnv.New64a()
	for vm := range view.VMs() {
		one := mesh.ListedVM{VM: *vm, Services: []mesh.VMPlace{}}
		one.Meta = mesh.Meta{Revision: vm.Meta.Revision, UpdatedAt: vm.Meta.UpdatedAt}
		placed := out.Of[vm.Key()]
		for _, reason := range placed.Not {
			one.NotPlaced = append(one.NotPlaced, reason.String())
		}
		if len(placed.As) > 0 {
			one.Services, one.Service = placed.As, placed.As[0].Service
		}
		out.List = append(out.List, one)
		fmt.Fprintln(sum, vm.Key(), placed.As, one.NotPlaced) // the machine itself is told by the snapshot's version
	}
	out.Tag = fmt.Sprintf("%d-%x", view.VMRevision(), sum.Sum64())
	return out
}

// Count is how many machines have one reason.
type Count struct {
	Why      string
	Machines int
	Name     string // of one of them
}

// LeftOut counts the machines that a service has not, by the reasons why, the most frequent first.
func (s *Shown) LeftOut(service mesh.ServiceName) (counts []Count, total int) {
	at := map[string]int{}
	for i := range s.List {
		vm := &s.List[i]
		for _, reason := range s.Of[vm.Key()].Not {
			if reason.Service != service {
				continue
			}
			total++
			if _, is := at[reason.Why]; !is {
				at[reason.Why] = len(counts)
				counts = append(counts, Count{Why: reason.Why, Name: vm.Name})
			}
			counts[at[reason.Why]].Machines++
		}
	}
	slices.SortStableFunc(counts, func(a, b Count) int {
		if a.Machines != b.Machines {
			return b.Machines - a.Machines
		}
		return strings.Compare(a.Why, b.Why)
	})
	return counts, total
}
