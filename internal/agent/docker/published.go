package docker

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/container"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// published gives where the host publishes ports. One published several times is reached
// at all addresses of the host rather than at one, and at the lowest port.
func (r *reading) published(c container.Summary) map[private]hosts.Port {
	all := map[private]hosts.Port{}
	unreached := map[private]string{} // why
	for _, p := range c.Ports {
		if p.PublicPort == 0 || p.Type != "tcp" && p.Type != "udp" {
			continue
		}
		key := private{mesh.Port(p.PrivatePort), p.Type}
		at := hosts.Port{Type: p.Type, Port: mesh.Port(p.PublicPort)}
		var why string
		if at.Address, why = r.reachedAt(p.IP.Unmap()); why != "" {
			unreached[key] = why
		} else if had, is := all[key]; !is || better(at, had) {
			all[key] = at
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(unreached), comparePrivate) {
		if _, is := all[key]; !is {
			r.fault("port %s of the container is published %s", key, unreached[key])
		}
	}
	return all
}

// reachedAt gives the address of a port that the host publishes at one, none if it is the
// host's own, or why other hosts do not reach it. An engine chooses the ports of 0.0.0.0
// and of :: each by itself, and listens at each for that family alone: the number of one is
// another container's in the other.
func (r *reading) reachedAt(at netip.Addr) (address netip.Addr, why string) {
	host := r.rules.Address.Unmap()
	switch {
	case !at.IsValid() || at == host:
	case at.IsUnspecified() && at.Is4() == host.Is4():
	case at.IsUnspecified() && host.Is4():
		why = "for IPv6 alone (::), and this host's address is of IPv4: publish it at 0.0.0.0 as well"
	case at.IsUnspecified():
		why = "for IPv4 alone (0.0.0.0), and this host's address is of IPv6: publish it at [::] as well"
	case at.IsLoopback() && !host.IsLoopback():
		why = "on the host's loopback alone: other hosts do not reach it"
	default:
		address = at
	}
	return address, why
}

func better(at, had hosts.Port) bool {
	if at.Address.IsValid() != had.Address.IsValid() {
		return had.Address.IsValid()
	}
	return at.Port < had.Port || at.Port == had.Port && at.Address.Less(had.Address)
}
