package hosts

import (
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// instances gives the changes of a service's instances.
func (f *Fleet) instances(name mesh.ServiceName, copies map[key]copyOf) []mesh.Change {
	given := f.given[name]
	if given == nil {
		given = map[mesh.InstanceID]*mesh.Instance{}
		f.given[name] = given
	}
	lost := f.lost[name]
	if lost == nil {
		lost = map[mesh.InstanceID]*mesh.Instance{}
		f.lost[name] = lost
	}
	wanted := map[mesh.InstanceID]*mesh.Instance{}
	failed := map[mesh.InstanceID]bool{}
	for _, k := range slices.SortedFunc(maps.Keys(copies), compareKeys) {
		one := instance(name, k, copies[k])
		if !f.there(copies[k]) {
			failed[one.ID] = true
			continue
		}
		if other := wanted[one.ID]; other == nil || severity[one.Health] > severity[other.Health] {
			wanted[one.ID] = one
		}
	}
	var changes []mesh.Change
	for _, id := range slices.Sorted(maps.Keys(given)) {
		if _, still := wanted[id]; still {
			continue
		}
		gone := *given[id]
		delete(given, id)
		if failed[id] { // it is lost sight of, and perhaps not ended
			lost[id] = &gone
			changes = append(changes, mesh.Change{Instance: &gone, Deleted: true})
			continue
		}
		changes = append(changes, ended(gone)...)
	}
	for _, id := range slices.Sorted(maps.Keys(lost)) {
		_, back := wanted[id]
		if !back && failed[id] {
			continue
		}
		if !back {
			changes = append(changes, ended(*lost[id])...)
		}
		delete(lost, id)
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if !reflect.DeepEqual(given[id], wanted[id]) {
			given[id] = wanted[id]
			changes = append(changes, mesh.Change{Instance: wanted[id]})
		}
	}
	return changes
}

// bury ends a service's copies on forgotten hosts, unless more are lost than are there: the
// catalog keeps those, and lets them go by the same rule once most are there again.
func (f *Fleet) bury(name mesh.ServiceName) {
	alive := 0
	for k := range f.copies[name] {
		if f.hosts[k.host].status == Alive {
			alive++
		}
	}
	if alive < len(f.copies[name])-alive {
		return
	}
	maps.DeleteFunc(f.copies[name], func(k key, _ copyOf) bool { return f.hosts[k.host].status == Forgotten })
}

// severity orders what several bridges say of one copy: the worst is heeded, as it is
// what the one that heard last says while a copy drains or falls ill.
var severity = map[mesh.Health]int{mesh.Healthy: 0, mesh.Draining: 1, mesh.Unhealthy: 2}

// ended tells that an instance is gone for sure: the catalog keeps none of which only the
// lease has ended, if most of a service's do at once.
func ended(gone mesh.Instance) []mesh.Change {
	gone.Health = mesh.Removed
	return []mesh.Change{{Instance: &gone}, {Instance: &gone, Deleted: true}}
}

func instance(name mesh.ServiceName, k key, c copyOf) *mesh.Instance {
	health := mesh.Healthy
	switch c.service.Health {
	case Unhealthy, Unknown:
		health = mesh.Unhealthy
	case Draining:
		health = mesh.Draining
	}
	address := c.service.Address
	if c.port.Address.IsValid() {
		address = c.port.Address
	}
	return &mesh.Instance{
		ID: instanceID(k, c), Service: name, Address: address.String(), Port: c.port.Port, Health: health, Labels: c.service.Labels,
		Meta: mesh.Meta{Source: c.service.Source},
	}
}

// instanceID is unique in the service, and one that a registry takes. What several
// bridges say of one copy in a mesh with a server is one instance.
func instanceID(k key, c copyOf) mesh.InstanceID {
	parts := []string{k.host}
	if c.service.Source == FromMesh {
		parts = nil
	}
	if k.source != "" {
		parts = append(parts, k.source)
	}
	parts = append(parts, k.id, fmt.Sprint(k.port))
	if k.address.IsValid() {
		parts = append(parts, k.address.String())
	}
	text := strings.Join(parts, "\x00")
	for i, part := range parts {
		parts[i] = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r) {
				return r
			}
			return '-'
		}, part)
	}
	plain := strings.TrimLeft(strings.Join(parts, ":"), "_.:-")
	if strings.ReplaceAll(plain, ":", "\x00") != text { // something is not as it was
		sum := fnv.New64a()
		_, _ = sum.Write([]byte(text)) // it never fails
		plain = fmt.Sprintf("%016x-%s", sum.Sum64(), plain)
	}
	return mesh.FitInstanceID(plain)
}
