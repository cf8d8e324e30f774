package gossip

import (
	"cmp"
	"math/bits"
	"slices"
)

// How news spread: in rounds, each to a few hosts drawn anew.
const (
	fanOut = 3
	// maxPackets bounds what one host is sent in one round; what does not fit waits.
	maxPackets = 8
)

// roundsFor is for how many rounds each host tells what it has heard: so often that
// in a fleet of that size a host that nobody told is very unlikely.
func roundsFor(hosts int) int { return bits.Len(uint(hosts))/2 + 2 }

// rumors is what a host still has to tell: for each host that changed from where on,
// never what; so a record that changes often is told as it is now, and a fleet
// where everything changes costs a line per host.
type rumors map[string]*rumor

type rumor struct {
	from uint64 // the version that others are taken to know
	left int    // rounds
}

// tell has what changed of a host after a version told for some rounds.
func (r rumors) tell(host string, from uint64, rounds int) {
	if old, there := r[host]; there {
		old.from, old.left = min(old.from, from), rounds
		return
	}
	r[host] = &rumor{from, rounds}
}

// round gives the deltas to tell now, those first that were told least, in packets of
// at most limit bytes. A delta that is larger than a packet goes as a notice.
func (r rumors) round(s *state, limit int) [][]Delta {
	hosts := make([]string, 0, len(r))
	for host := range r {
		hosts = append(hosts, host)
	}
	slices.SortFunc(hosts, func(a, b string) int { return cmp.Or(cmp.Compare(r[b].left, r[a].left), cmp.Compare(a, b)) })
	var packets [][]Delta
	room := 0
	for _, host := range hosts {
		d, there := s.news(host, r[host].from)
		if !there {
			delete(r, host)
			continue
		}
		needs := size(d)
		if needs > limit {
			d = d.asNotice()
			needs = size(d)
		}
		if needs > room {
			if len(packets) == maxPackets {
				break
			}
			packets, room = append(packets, nil), limit
		}
		packets[len(packets)-1] = append(packets[len(packets)-1], d)
		room -= needs
		if r[host].left--; r[host].left <= 0 {
			delete(r, host)
		}
	}
	return packets
}
