package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"
)

// places are where hosts were that are no members now: those that were forgotten, and
// those that an earlier run knew. They are dialled, and nothing else: a network that was
// cut for longer than hosts are remembered is one again without anybody's help.
type places map[netip.AddrPort]time.Time

const (
	placesFor  = 7 * 24 * time.Hour
	mostPlaces = 256
)

// add notes a place; when there are too many the oldest goes.
func (p places) add(at netip.AddrPort, now time.Time) {
	if _, there := p[at]; !there && len(p) >= mostPlaces {
		oldest := at
		for one, since := range p {
			if oldest == at || since.Before(p[oldest]) {
				oldest = one
			}
		}
		delete(p, oldest)
	}
	p[at] = now
}

// forget lets go of those of which nothing was heard for days.
func (p places) forget(now time.Time) {
	for one, since := range p {
		if now.Sub(since) > placesFor {
			delete(p, one)
		}
	}
}

// Places gives where other hosts are or were, for a later run's [Config]: sorted.
func (n *Node) Places() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]netip.AddrPort, 0, len(n.hosts)+len(n.places))
	for one := range n.places {
		list = append(list, one)
	}
	for name, m := range n.hosts {
		if name != n.cfg.Name && m.status != Left {
			list = append(list, m.address)
		}
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list)
}

// met gives the addresses of members that are alive, this host's own among them. n.mu is held.
func (n *Node) met() map[netip.AddrPort]struct{} {
	met := make(map[netip.AddrPort]struct{}, len(n.hosts))
	for _, m := range n.hosts {
		if m.status == Alive {
			met[m.address] = struct{}{}
		}
	}
	return met
}

// away gives the addresses of hosts that failed, and the places of others. n.mu is held.
func (n *Node) away(met map[netip.AddrPort]struct{}) (failed, elsewhere []string) {
	for _, m := range n.hosts {
		if m.status == Failed {
			failed = append(failed, m.address.String())
		}
	}
	for one := range n.places {
		if _, there := met[one]; !there {
			elsewhere = append(elsewhere, one.String())
		}
	}
	return failed, elsewhere
}

// seeds gives all seeds with their ports, but for addresses of members.
func (n *Node) seeds(met map[netip.AddrPort]struct{}) []string {
	var list []string
	for _, seed := range n.cfg.Seeds {
		seed = withPort(seed, n.cfg.Bind.Port())
		if at, err := netip.ParseAddrPort(seed); err == nil {
			if _, there := met[at]; there {
				continue
			}
		}
		list = append(list, seed)
	}
	return list
}

// unmet gives the addresses of a seed that are no member's: a name may have several.
func (n *Node) unmet(ctx context.Context, seed string) []string {
	host, port, err := net.SplitHostPort(seed)
	if err != nil {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{seed}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		n.cfg.Logger.Debug("a seed's name has no address now", "seed", seed, "error", err)
		return nil
	}
	n.mu.Lock()
	met := n.met()
	n.mu.Unlock()
	var list []string
	for _, one := range found {
		text := net.JoinHostPort(one.Unmap().String(), port)
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			continue
		}
		if _, there := met[at]; !there {
			list = append(list, text)
		}
	}
	return list
}

// one draws one of a list, as a list: none of none.
func one(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	i := rand.IntN(len(list))
	return list[i : i+1]
}
