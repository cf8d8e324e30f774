package gossip

import (
	"context"
	"time"

	"github.com/hashicorp/memberlist"
)

// A host that was stopped, or had no processor for a while, finds its timers over before it
// reads what came meanwhile: it declares others dead that have answered long ago. So what it
// notes of losses just after it woke is told to nobody on this host until it has looked
// again; memberlist's own word of it is refuted by those who are alive.
const (
	beat       = 250 * time.Millisecond
	lapse      = 2 * beat // without a beat for longer than this a host slept
	dazedBeats = 8        // how long losses wait; time in which this host sleeps again is not counted
	mostNaps   = 40       // so long a loss waits at most on a machine that has no time at all
)

// attention notices that this host slept.
type attention struct {
	last    time.Time         // beat; zero: there was none yet
	dazed   int               // beats until losses are believed at once
	doubted map[string]*doubt // losses that wait, by host
}

// clear says whether this host has been awake for long enough. A loss may be noted before
// the first beat after the sleep, so that each asks by itself.
func (a *attention) clear(now time.Time) bool {
	if !a.last.IsZero() && now.Sub(a.last) > lapse {
		a.dazed = dazedBeats
		a.last = now
	}
	return a.dazed == 0
}

// beat says whether this host has been awake since the last one.
func (a *attention) beat(now time.Time) (awake bool) {
	awake = a.last.IsZero() || now.Sub(a.last) <= lapse
	if !a.clear(now) {
		a.dazed--
	}
	a.last = now
	return awake
}

// doubt is a loss that waits.
type doubt struct {
	node  memberlist.Node
	beats int // until it is believed
	naps  int // beats for which this host slept
}

// doubts says whether a loss waits, and has the host that is said to be lost asked. n.mu is held.
func (n *Node) doubts(node memberlist.Node) bool {
	before, known := n.hosts[node.Name]
	if !known || before.status != Alive || n.attention.clear(time.Now()) {
		return false
	}
	if r := n.state.records[node.Name]; r != nil && r.leaving {
		return false // it has said so
	}
	n.attention.doubted[node.Name] = &doubt{node: node, beats: dazedBeats}
	n.revisit(before.address)
	n.cfg.Logger.Debug("a host is lost just after this one did nothing for a while; it is asked again", "host", node.Name)
	return true
}

// attend beats until ctx ends, and believes what has waited long enough.
func (n *Node) attend(ctx context.Context) {
	n.every(ctx, beat, func(now time.Time) { n.believe(n.attention.beat(now)) })
}

// believe takes one beat from losses that wait, if this host was awake for it: else nothing
// that came meanwhile is read yet. n.mu is held.
func (n *Node) believe(awake bool) {
	for name, one := range n.attention.doubted {
		if awake {
			one.beats--
		} else {
			one.naps++
		}
		if one.beats <= 0 || one.naps > mostNaps {
			delete(n.attention.doubted, name)
			n.note(one.node, Failed)
		}
	}
}
