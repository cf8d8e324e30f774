package docker

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// private is a port as the container listens on it.
type private struct {
	port mesh.Port
	kind string // tcp or udp
}

func (p private) String() string {
	if p.kind == "udp" {
		return fmt.Sprintf("%d/udp", p.port)
	}
	return fmt.Sprint(p.port)
}

func comparePrivate(a, b private) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.port, b.port))
}

// ports gives the ports at which a container is reached, and sets its address if that is
// its own.
func (r *reading) ports(one *hosts.Service, c container.Summary) []hosts.Port {
	wanted := r.wantedPorts()
	var reached map[private]hosts.Port
	switch {
	case c.HostConfig.NetworkMode == "host": // it listens on the host's own addresses
		reached = exposed(c, wanted)
	case r.rules.Direct:
		address := r.ownAddress(c)
		if !address.IsValid() {
			return nil
		}
		one.Address = address
		reached = exposed(c, wanted)
	default:
		reached = r.published(c)
	}
	var list []hosts.Port
	for _, p := range slices.SortedFunc(maps.Keys(reached), comparePrivate) {
		at := reached[p]
		at.ServicePort = wanted[p]
		list = append(list, at)
	}
	slices.SortStableFunc(list, func(a, b hosts.Port) int { return cmp.Compare(min(b.ServicePort, 1), min(a.ServicePort, 1)) })
	if len(list) > maxPorts { // those that proxies listen for come first
		if list[maxPorts].ServicePort != 0 {
			r.fault("it has more than %d ports that proxies are to listen for", maxPorts)
		}
		list = list[:maxPorts]
	}
	for _, p := range slices.SortedFunc(maps.Keys(wanted), comparePrivate) {
		if !r.isReached(p, reached) {
			r.fault("%s asks for port %d, but port %s of the container is not published where other hosts reach it", r.portLabel(p), wanted[p], p)
		}
	}
	return list
}

// portLabel is the label that a port's ServicePort is from.
func (r *reading) portLabel(p private) string {
	name, _ := r.label("heddle.port."+p.String(), fmt.Sprintf("ServicePort_%d", p.port))
	return name
}

// isReached says whether what a label asks for is there; one that names no kind asks for
// either.
func (r *reading) isReached(p private, reached map[private]hosts.Port) bool {
	_, is := reached[p]
	if is || !strings.HasPrefix(r.portLabel(p), "ServicePort_") {
		return is
	}
	_, is = reached[private{p.port, "udp"}]
	return is || p.kind == "udp" // it is told of as TCP's
}

// wantedPorts reads the labels that say where proxies listen.
func (r *reading) wantedPorts() map[private]mesh.Port {
	wanted := map[private]mesh.Port{}
	names := slices.Sorted(maps.Keys(r.labels))
	for _, name := range slices.Backward(names) { // heddle.port before ServicePort
		var of []private
		text, own := strings.CutPrefix(name, "heddle.port.")
		number, kind, _ := strings.Cut(text, "/")
		switch {
		case own && (kind == "" || kind == "tcp" || kind == "udp"):
			of = []private{{kind: cmp.Or(kind, "tcp")}}
		case own:
			r.fault("%s: %q is neither tcp nor udp", name, kind)
			continue
		default:
			if number, own = strings.CutPrefix(name, "ServicePort_"); !own {
				continue
			}
			of = []private{{kind: "tcp"}, {kind: "udp"}}
		}
		port, err := parsePort(number)
		if err != nil {
			r.fault("%s: %v", name, err)
			continue
		}
		service, err := parsePort(strings.TrimSpace(r.labels[name]))
		if err != nil {
			r.fault("%s=%q: %v: proxies do not listen for it", name, r.labels[name], err)
			continue
		}
		for _, p := range of {
			p.port = port
			if _, said := wanted[p]; !said {
				wanted[p] = service
			}
		}
	}
	return wanted
}

// exposed gives the ports that a container listens on, as its image or its labels say.
func exposed(c container.Summary, wanted map[private]mesh.Port) map[private]hosts.Port {
	all := map[private]hosts.Port{}
	for p := range wanted {
		if p.kind == "tcp" {
			all[p] = hosts.Port{Type: p.kind, Port: p.port}
		}
	}
	for _, p := range c.Ports {
		if p.Type == "tcp" || p.Type == "udp" {
			all[private{mesh.Port(p.PrivatePort), p.Type}] = hosts.Port{Type: p.Type, Port: mesh.Port(p.PrivatePort)}
		}
	}
	return all
}

// ownAddress is the container's, in the network chosen; without a choice that of its
// network first by name, of the host's family if it has one.
func (r *reading) ownAddress(c container.Summary) netip.Addr {
	if c.NetworkSettings == nil || len(c.NetworkSettings.Networks) == 0 {
		r.fault("it is in no network: it has no address")
		return netip.Addr{}
	}
	networks := slices.Sorted(maps.Keys(c.NetworkSettings.Networks))
	if r.rules.Network != "" {
		if !slices.Contains(networks, r.rules.Network) {
			r.fault("it is not in network %q, whose addresses are used, but in %s", r.rules.Network, strings.Join(networks, ", "))
			return netip.Addr{}
		}
		networks = []string{r.rules.Network}
	} else if len(networks) > 1 {
		r.fault("it is in networks %s: its address in the first is used; say which by --docker-network", strings.Join(networks, ", "))
	}
	settings := c.NetworkSettings.Networks[networks[0]]
	if settings == nil {
		return netip.Addr{}
	}
	addresses := []netip.Addr{settings.IPAddress, settings.GlobalIPv6Address}
	if r.rules.Address.Is6() {
		slices.Reverse(addresses)
	}
	for _, address := range addresses {
		if address.IsValid() && !address.IsUnspecified() {
			return address
		}
	}
	return netip.Addr{}
}
