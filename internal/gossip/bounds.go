package gossip

import "fmt"

// Bounds of what one host may say, its key and its faults notwithstanding. What exceeds them
// is refused where it comes from, and again where it arrives: as a whole, so that what was
// known before stays.
const (
	MaxEntries  = 4096
	MaxKeyBytes = 256
	MaxBytes    = 16 << 10 // of one entry
	// MaxRecordBytes is for the keys and values of all that one host runs.
	MaxRecordBytes = 8 << 20
	maxHostBytes   = 253 // a DNS name

	// MaxHosts is how many hosts one remembers, those that failed among them.
	MaxHosts = 10_000
	// MaxTotalBytes is for the records of all other hosts, by their cost. Beyond it a record
	// still grows to fairShare, so that nobody's names shut others out: all together cost
	// twice as much at most.
	MaxTotalBytes = 256 << 20
	fairShare     = MaxTotalBytes / MaxHosts
	// maxStrays and maxStrayBytes are for records of hosts that are no members yet: news may
	// come before memberlist's. What is refused is fetched once the host is a member.
	maxStrays     = 1024
	maxStrayBytes = 2 * MaxRecordBytes

	entryCost = 128 // bytes that an entry takes beside its key and value, about
)

// room says whether a delta of a host that is no member yet may be kept. n.mu is held.
func (n *Node) room(d Delta) bool {
	if _, member := n.hosts[d.Host]; member || d.Host == n.cfg.Name {
		return true
	}
	_, there := n.strays[d.Host]
	if !there && len(n.strays) >= maxStrays {
		return false
	}
	r := n.state.records[d.Host]
	if r == nil {
		r = &record{}
	}
	return n.strayBytes-r.cost()+r.with(d).cost() <= maxStrayBytes
}

// noStray forgets that a host was none that is no member: it is one, or its record goes.
// n.mu is held.
func (n *Node) noStray(host string) {
	if _, there := n.strays[host]; there {
		n.strayBytes -= n.state.records[host].cost()
		delete(n.strays, host)
	}
}

// overfull is whom a bound of all strays together is told of: no host in particular.
const overfull = "hosts that are no members"

// cost is about what a record takes of memory; of none it is 0.
func (r *record) cost() int {
	if r == nil {
		return 0
	}
	return r.bytes + len(r.entries)*entryCost
}

// after is what a record would hold with a delta.
type after struct{ live, removed, bytes int }

func (a after) cost() int {
	if a.removed > keptTombstones {
		a.removed = keptTombstones / 2 // the others are forgotten
	}
	return a.bytes + (a.live+a.removed)*entryCost
}

// with says what a record would hold with a delta that fits it.
func (r *record) with(d Delta) after {
	a, before := after{len(r.entries) - r.removed, r.removed, r.bytes}, r.Version
	if d.From == 0 {
		a, before = after{}, 0
	}
	for _, c := range d.Changes {
		if c.Version <= before {
			continue
		}
		if old, there := r.entries[c.Key]; there && d.From > 0 {
			if old.Removed {
				a.removed--
			} else {
				a.live--
				a.bytes -= len(old.Key) + len(old.Value)
			}
		}
		if c.Removed {
			a.removed++
		} else {
			a.live++
			a.bytes += len(c.Key) + len(c.Value)
		}
	}
	return a
}

// errFull is of a record within the bounds of one, for which there is no room.
var errFull = fmt.Errorf("with it all hosts would tell more than %d bytes", MaxTotalBytes)

// exceeds says why a record would be too large with a delta, if it may cost so much; nil: it
// would not.
func (r *record) exceeds(d Delta, room int) error {
	switch a := r.with(d); {
	case a.live > MaxEntries:
		return fmt.Errorf("it would have %d entries: a host may have %d", a.live, MaxEntries)
	case a.bytes > MaxRecordBytes:
		return fmt.Errorf("it would tell %d bytes: a host may tell %d", a.bytes, MaxRecordBytes)
	case a.cost() > room:
		return errFull
	}
	return nil
}

// roomOf is what the record of a host may cost: what it does already, for what ends must not
// be refused; its share; and what the others leave of the total.
func (s *state) roomOf(host string) int {
	before := s.records[host].cost()
	return max(before, fairShare, MaxTotalBytes-(s.total-before))
}
