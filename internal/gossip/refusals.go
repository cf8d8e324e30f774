package gossip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
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
	at             position  // of the record that was refused, if it is known by that
	since          time.Time // when it was said last
	again          time.Time // when that record is fetched once more
}

// refuse notes that something said of a host exceeds a bound. What is said of hosts that are
// no members is noted as one, or invented names would hide what members say. n.mu is held.
func (n *Node) refuse(host string, at position, bound, format string, args ...any) {
	if _, member := n.hosts[host]; !member {
		host, at = overfull, position{}
	}
	old, there := n.refusals[host]
	if there && old.bound == bound { // the same words, so that varying numbers are no news
		old.at, old.since = at, time.Now()
		return
	}
	if !there && len(n.refusals) >= mostRefusals {
		return
	}
	one := &refusal{bound: bound, message: fmt.Sprintf(format, args...), at: at, since: time.Now()}
	if there {
		one.again = old.again
	}
	n.refusals[host] = one
	n.wakeFeeds()
}

// refuseRecord notes that a record was refused, which is not asked for any more. Where there
// was no room for it, it may be taken when it is heard of again. n.mu is held.
func (n *Node) refuseRecord(teller string, d Delta) {
	at, bound, why := position{d.Epoch, d.To}, "record", n.state.why(d)
	if l, there := n.lacks[d.Host]; there && l.known.compare(at) <= 0 {
		delete(n.lacks, d.Host)
	}
	if errors.Is(why, errFull) {
		at, bound = position{}, "total"
	}
	n.refuse(d.Host, at, bound, "what %q tells that %q runs is not taken, and what it ran before counts: %v", teller, d.Host, why)
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

// wasRefused says whether just that record of a host was refused, and is not to be fetched.
// It is fetched all the same once, and again after a while: somebody else may have said of
// the host what was refused. n.mu is held.
func (n *Node) wasRefused(host string, at position) bool {
	old, there := n.refusals[host]
	if !there || old.at != at {
		return false
	}
	now := time.Now()
	old.since = now
	if now.Before(old.again) {
		return true
	}
	old.again = now.Add(refusedFor)
	return false
}
