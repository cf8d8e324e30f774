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
	wanted := map[mesh.InstanceID]*mesh.Instance{}
	failed := map[mesh.InstanceID]bool{}
	for k, c := range copies {
		one := instance(name, k, c)
		if f.hosts[k.host].status == Failed {
			failed[one.ID] = true
			continue
		}
		wanted[one.ID] = one
	}
	var changes []mesh.Change
	for _, id := range slices.Sorted(maps.Keys(given)) {
		if _, still := wanted[id]; still {
			continue
		}
		gone := *given[id]
		delete(given, id)
		if !failed[id] { // it was ended, and not lost sight of
			gone.Health = mesh.Removed
			changes = append(changes, mesh.Change{Instance: &gone})
		}
		changes = append(changes, mesh.Change{Instance: &gone, Deleted: true})
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if !reflect.DeepEqual(given[id], wanted[id]) {
			given[id] = wanted[id]
			changes = append(changes, mesh.Change{Instance: wanted[id]})
		}
	}
	return changes
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
	parts := []string{k.host, k.id, fmt.Sprint(k.port)}
	if c.service.Source == FromMesh {
		parts = parts[1:]
	}
	text := strings.Join(parts, "-")
	plain := strings.TrimLeft(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.:-", r) {
			return r
		}
		return '-'
	}, text), "_.:-")
	if plain != text {
		sum := fnv.New64a()
		_, _ = sum.Write([]byte(text)) // it never fails
		plain = fmt.Sprintf("%016x-%s", sum.Sum64(), plain)
	}
	return mesh.FitInstanceID(plain)
}
