package operator

import (
	"context"
	"maps"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// send has the registry hold the instances, whose fingerprints are wanted. Of a set
// that was sent already it sends what differs from that, or from what the mirror holds,
// and the whole set when the registry does not take the change, for whatever reason:
// somebody else wrote the set, or the server knows no changes.
func (d *discovery) send(ctx context.Context, service mesh.ServiceName, wanted, held map[mesh.InstanceID]uint64, instances []mesh.Instance) (mesh.Kept, error) {
	d.mu.Lock()
	last := d.sent[service]
	last.next = wanted
	d.sent[service] = last
	d.mu.Unlock()
	if last.base > 0 && len(instances) > 0 {
		change := keptChange(last, wanted, held, instances)
		kept, err := d.registry.ChangeKept(ctx, service, change)
		if err == nil || mesh.KindOf(err) == mesh.KindUnavailable {
			return kept, err
		}
		d.log.Debug("the registry does not take a change of a service's pods: sending all of them", "service", service, "error", err)
	}
	return d.registry.KeepInstances(ctx, service, instances)
}

// keptChange names all that is not known to be as it is wanted.
func keptChange(last sentSet, wanted, held map[mesh.InstanceID]uint64, instances []mesh.Instance) mesh.KeptChange {
	change := mesh.KeptChange{Base: last.base}
	for _, one := range instances {
		print := wanted[one.ID]
		if sent, is := last.set[one.ID]; !is || sent != print || held[one.ID] != print {
			change.Instances = append(change.Instances, one)
		}
	}
	gone := map[mesh.InstanceID]bool{}
	for _, there := range []map[mesh.InstanceID]uint64{last.set, held} {
		for id := range there {
			if _, is := wanted[id]; !is {
				gone[id] = true
			}
		}
	}
	change.Removed = slices.Collect(maps.Keys(gone))
	return change
}

// isEcho says whether a change of the registry is what was sent, or is being sent, of
// that instance. Nothing has to be looked at for it: a call that fails is made again.
func (d *discovery) isEcho(c change) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, is := d.sent[c.of]
	if _, unknown := last.set[""]; unknown || !is || c.instance == "" {
		return false
	}
	if last.next != nil {
		return last.next[c.instance] == c.print
	}
	return last.set[c.instance] == c.print
}
