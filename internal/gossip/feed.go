package gossip

import (
	"context"
	"net/netip"
	"slices"
)

// Host is what is known of a member of the fleet, this host included.
type Host struct {
	Name    string
	Address netip.AddrPort // of its gossip
	Meta    []byte         // what it said of itself when it joined
	Status  Status
	// Told says that this run of it has said what it runs; else Entries are of an earlier run.
	Told bool
	// Entries is what it runs; not to be written to. Of a host that is not alive, what
	// it ran last.
	Entries map[string][]byte
}

// Status is whether a host is there.
type Status string

// Statuses.
const (
	Alive  Status = "alive"
	Failed Status = "failed" // it does not answer, and nobody reaches it
	Left   Status = "left"   // it said so
	Gone   Status = "gone"   // forgotten: the last that a feed says of it
)

// Feed hands one reader what changed since it looked last, as it is now: a slow
// reader skips what was in between.
type Feed struct {
	node    *Node
	wake    chan struct{}       // capacity 1
	changed map[string]struct{} // guarded by node.mu
}

// Subscribe opens a feed; its first Wait gives all hosts that are known.
func (n *Node) Subscribe() *Feed {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &Feed{node: n, wake: make(chan struct{}, 1), changed: map[string]struct{}{}}
	for host := range n.hosts {
		f.changed[host] = struct{}{}
	}
	f.wake <- struct{}{}
	n.feeds = append(n.feeds, f)
	return f
}

// Wait blocks until hosts have changed, and gives them. It fails only when ctx ends.
func (f *Feed) Wait(ctx context.Context) ([]Host, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.wake:
		return f.Take(), nil
	}
}

// Ready is sent to when there is something to [Feed.Take].
func (f *Feed) Ready() <-chan struct{} { return f.wake }

// Take gives the hosts that have changed.
func (f *Feed) Take() []Host {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	list := make([]Host, 0, len(f.changed))
	for name := range f.changed {
		list = append(list, f.node.host(name))
	}
	clear(f.changed)
	return list
}

// Close ends the feed.
func (f *Feed) Close() {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	f.node.feeds = slices.DeleteFunc(f.node.feeds, func(one *Feed) bool { return one == f })
}

// wakeFeeds has the feeds' readers look. n.mu is held.
func (n *Node) wakeFeeds() {
	for _, f := range n.feeds {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}
