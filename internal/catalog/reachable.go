package catalog

import (
	"cmp"
	"net/netip"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Reachable gives the instances of a service that callers should know, by address:
// proxies want each address once. Two registrations have the same address when a
// container's address was given to its successor before the lease of the first
// ended; the one that is in better health and newer is the living one.
func (v *View) Reachable(service mesh.ServiceName) []*mesh.Instance {
	instances := v.Instances(service)
	type address struct {
		ip   netip.Addr
		port mesh.Port
	}
	place := make(map[address]int, len(instances))
	out := make([]*mesh.Instance, 0, len(instances))
	for _, one := range instances {
		ip, err := netip.ParseAddr(one.Address)
		if err != nil || one.Health == mesh.Removed {
			continue
		}
		key := address{ip.Unmap(), one.Port}
		i, taken := place[key]
		switch {
		case !taken:
			place[key] = len(out)
			out = append(out, one)
		case livelier(one, out[i]):
			out[i] = one
		}
	}
	return out
}

func livelier(a, b *mesh.Instance) bool {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.Meta.Revision, b.Meta.Revision),
		-cmp.Compare(a.ID, b.ID),
	) > 0
}

func rank(i *mesh.Instance) int {
	switch {
	case i.Health == mesh.Unhealthy:
		return 0
	case i.Health == mesh.Draining:
		return 1
	case i.Stale:
		return 2
	}
	return 3
}
