package gossip

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

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
	// MaxTotalBytes is for the records of all other hosts, by their cost.
	MaxTotalBytes = 256 << 20
	// maxStrays and maxStrayBytes are for records of hosts that are no members yet: news may
	// come before memberlist's. What is refused is fetched once the host is a member.
	maxStrays     = 1024
	maxStrayBytes = 2 * MaxRecordBytes

	entryCost = 128 // bytes that an entry takes beside its key and value, about
)

// How refusals are remembered.
const (
	refusedFor   = 2 * time.Minute // after it was said last
	mostRefusals = 64
)

// Refusal is something that a host says, or that is said of it, and that is not taken.
type Refusal struct{ Host, Message string }

type refusal struct {
	bound, message string
	at             position // of the record that was refused, if it was one
	since          time.Time
}

// refuse notes that something said of a host exceeds a bound. n.mu is held.
func (n *Node) refuse(host string, at position, bound, format string, args ...any) {
	old, there := n.refusals[host]
	if there && old.bound == bound { // the same words, so that varying numbers are no news
		old.at, old.since = at, time.Now()
		return
	}
	if !there && len(n.refusals) >= mostRefusals {
		return
	}
	n.refusals[host] = &refusal{bound, fmt.Sprintf(format, args...), at, time.Now()}
	n.wakeFeeds()
}

// withdraw forgets what was refused of a host, as it says something that is taken, or is
// gone. n.mu is held.
func (n *Node) withdraw(host string) {
	if _, there := n.refusals[host]; there {
		delete(n.refusals, host)
		n.wakeFeeds()
	}
}

// Refusals lists what is not taken of what hosts say, sorted by host. Feeds are woken when
// it changes.
func (n *Node) Refusals() []Refusal {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]Refusal, 0, len(n.refusals))
	for host, one := range n.refusals {
		list = append(list, Refusal{host, one.message})
	}
	slices.SortFunc(list, func(a, b Refusal) int { return strings.Compare(a.Host, b.Host) })
	return list
}

// wasRefused says whether just that record of a host was refused: it is not fetched again.
// n.mu is held.
func (n *Node) wasRefused(host string, at position) bool {
	old, there := n.refusals[host]
	if !there || old.at != at {
		return false
	}
	old.since = time.Now()
	return true
}

// room says whether a delta of a host that is no member yet may be kept. n.mu is held.
func (n *Node) room(d Delta) bool {
	if _, member := n.hosts[d.Host]; member || d.Host == n.cfg.Name {
		return true
	}
	_, there := n.strays[d.Host]
	if !there && len(n.strays) >= maxStrays {
		return false
	}
	cost := changesCost(d.Changes)
	for host := range n.strays {
		cost += n.state.records[host].cost()
	}
	return cost <= maxStrayBytes
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

func changesCost(list []Change) int {
	cost := len(list) * entryCost
	for _, c := range list {
		cost += len(c.Key) + len(c.Value)
	}
	return cost
}

// exceeds says why a record would be too large with a delta; nil: it would not.
func (r *record) exceeds(d Delta) error {
	live, bytes, before := len(r.entries)-r.removed, r.bytes, r.Version
	if d.From == 0 {
		live, bytes, before = 0, 0, 0
	}
	for _, c := range d.Changes {
		if c.Version <= before {
			continue
		}
		if old, there := r.entries[c.Key]; there && d.From > 0 && !old.Removed {
			live--
			bytes -= len(old.Key) + len(old.Value)
		}
		if !c.Removed {
			live++
			bytes += len(c.Key) + len(c.Value)
		}
	}
	switch {
	case live > MaxEntries:
		return fmt.Errorf("it would have %d entries: a host may have %d", live, MaxEntries)
	case bytes > MaxRecordBytes:
		return fmt.Errorf("it would tell %d bytes: a host may tell %d", bytes, MaxRecordBytes)
	}
	return nil
}
