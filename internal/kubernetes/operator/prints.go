package operator

import (
	"encoding/json"
	"hash/maphash"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// print is a fingerprint, for comparing only.
func (m *mirror) print(object any) uint64 { return printOf(m.seed, object) }

func printOf(seed maphash.Seed, object any) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_ = json.NewEncoder(&h).Encode(object) // the model's types can be encoded
	return h.Sum64()
}

// What of an object is compared: what its writer said, not what the registry added.
func plainService(s mesh.Service) mesh.Service { s.Meta = mesh.Meta{}; return s }

func plainRoute(r mesh.Route) mesh.Route { r.Meta, r.Created = mesh.Meta{}, 0; return r }

func plainInstance(i mesh.Instance) mesh.Instance {
	i.Meta, i.Epoch, i.Stale = mesh.Meta{}, "", false
	if i.Health == "" {
		i.Health = mesh.Healthy
	}
	if i.Weight == 1 {
		i.Weight = 0
	}
	return i
}
