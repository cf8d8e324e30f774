package gossip

import (
	"context"
	"time"

	"github.com/hashicorp/memberlist"
)

// A host that was stopped, or had no processor for a while, finds its timers over before it
// reads what came meanwhile: it declares others dead that have answered long ago. So what it
// notes of losses just after it woke is told to nobody until it has looked again.
const (
	beat       = 250 * time.Millisecond
	lapse      = 2 * beat // without a beat for longer than this a host slept
	dazedBeats = 8        // how long losses wait; time in which this host sleeps again is not counted
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

func (a *attention) beat(now time.Time) {
	if !a.clear(now) {
		a.dazed--
	}
	a.last = now
}

// doubt is a loss that waits.
type doubt struct {
	node  memberlist.Node
	beats int // until it is believed
}

// doubts says whether a loss waits, and has the host that is said to be lost asked. n.mu is held.
func (n *Node) doubts(node memberlist.Node) bool {
	before, known := n.hosts[node.Name]
	if !known || before.status != Alive || n.attention.clear(time.Now()) {
		return false
	}
	n.attention.doubted[node.Name] = &doubt{node, dazedBeats}
	n.back = append(n.back, before.address)
	select {
	case n.meet <- struct{}{}:
	default:
	}
	n.cfg.Logger.Debug("a host is lost just after this one did nothing for a while; it is asked again", "host", node.Name)
	return true
}

// attend beats until ctx ends, and believes what has waited long enough.
func (n *Node) attend(ctx context.Context) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.mu.Lock()
			n.attention.beat(time.Now())
			n.believe()
			n.mu.Unlock()
		}
	}
}

// believe takes one beat from losses that wait. n.mu is held.
func (n *Node) believe() {
	for name, one := range n.attention.doubted {
		if one.beats--; one.beats <= 0 {
			delete(n.attention.doubted, name)
			n.note(one.node, Failed)
		}
	}
}
