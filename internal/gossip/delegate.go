package gossip

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist hands hosts' messages to. It never blocks on the
// network, and never calls memberlist.
type delegate struct{ node *Node }

// NodeMeta implements memberlist's Delegate.
func (d delegate) NodeMeta(int) []byte {
	d.node.mu.Lock()
	defer d.node.mu.Unlock()
	return metaOf(d.node.run, d.node.cfg.Meta)
}

// GetBroadcasts implements memberlist's Delegate. News are spread by rounds of our
// own: at once, not with memberlist's next tick.
func (d delegate) GetBroadcasts(int, int) [][]byte { return nil }

// NotifyMsg implements memberlist's Delegate.
func (d delegate) NotifyMsg(body []byte) {
	m, understood := d.decode(body)
	if understood && m.From != d.node.cfg.Name {
		d.node.receive(m)
	}
}

// LocalState implements memberlist's Delegate: what the other side of a push-pull is
// told. It is as long as there are hosts, whatever they run.
func (d delegate) LocalState(bool) []byte {
	n := d.node
	n.mu.Lock()
	defer n.mu.Unlock()
	// Only of members: a host that is forgotten here must not come back from another
	// that has not forgotten it yet.
	alive := func(host string) bool { m, there := n.hosts[host]; return there && m.status == Alive }
	up := uint64(time.Since(n.started).Milliseconds())
	return encode(message{From: n.cfg.Name, Digest: n.state.digest(alive), Run: n.run, Up: up})
}

// MergeRemoteState implements memberlist's Delegate.
func (d delegate) MergeRemoteState(body []byte, _ bool) {
	m, understood := d.decode(body)
	switch {
	case !understood:
	case m.From == d.node.cfg.Name:
		d.node.meets(m)
	default:
		d.node.receive(m)
	}
}

func (d delegate) decode(body []byte) (message, bool) {
	m, err := decode(body)
	if err != nil {
		d.node.warn.Do(func() { d.node.cfg.Logger.Warn("a message of gossip is not understood, and ignored", "error", err) })
		if bad, ok := errors.AsType[*nonsense](err); ok {
			d.node.mu.Lock()
			defer d.node.mu.Unlock()
			d.node.refuse(bad.host, position{}, "nonsense", "what %q says of %q is not taken: %v", bad.from, bad.host, bad.err)
		}
	}
	return m, err == nil
}

// admission is asked by memberlist whether a host may be a member, with its locks held.
type admission struct{ node *Node }

// NotifyAlive implements memberlist's AliveDelegate.
func (a admission) NotifyAlive(peer *memberlist.Node) error {
	n := a.node
	if err := validHost(peer.Name); err != nil {
		return err
	}
	if len(peer.Meta) > memberlist.MetaMaxSize {
		return fmt.Errorf("it tells %d bytes of itself, and may tell %d", len(peer.Meta), memberlist.MetaMaxSize)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, there := n.hosts[peer.Name]; there || len(n.hosts) < MaxHosts {
		return nil
	}
	n.refuse(peer.Name, position{}, "hosts", "%q is no member: there are %d hosts, those remembered included, and may not be more", peer.Name, MaxHosts)
	return errTooManyHosts
}

var errTooManyHosts = errors.New("there are too many hosts")

// events is told by memberlist who comes and goes, with its locks held.
type events struct{ node *Node }

// NotifyJoin implements memberlist's EventDelegate.
func (e events) NotifyJoin(node *memberlist.Node) { e.node.noted(node, Alive) }

// NotifyUpdate implements memberlist's EventDelegate.
func (e events) NotifyUpdate(node *memberlist.Node) { e.node.noted(node, Alive) }

// NotifyLeave implements memberlist's EventDelegate.
func (e events) NotifyLeave(node *memberlist.Node) {
	e.node.noted(node, Failed)
}

func (n *Node) noted(node *memberlist.Node, status Status) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if status == Failed && n.doubts(*node) {
		return
	}
	delete(n.attention.doubted, node.Name)
	n.note(*node, status)
}

// note takes a host for what it is now. n.mu is held.
func (n *Node) note(node memberlist.Node, status Status) {
	address := addressOf(&node)
	n.noStray(node.Name)
	delete(n.places, address)
	if r, known := n.state.records[node.Name]; known && r.leaving && status == Failed {
		status = Left // memberlist does not tell which
	}
	before, known := n.hosts[node.Name]
	if one, there := n.refusals[overfull]; !known && there && one.bound == "hosts" {
		n.withdraw(overfull) // there is room again
	}
	if known && before.status != Alive && status == Alive {
		n.welcome(address)
	}
	run, meta := splitMeta(node.Meta)
	if node.Name != n.cfg.Name && status == Alive {
		n.expect(node.Name, run)
	}
	n.hosts[node.Name] = &member{node: &node, address: address, meta: meta, status: status, since: time.Now()}
	n.changed(node.Name)
	if node.Name != n.cfg.Name && n.comings.Allow() {
		n.cfg.Logger.Info("host "+string(status), "host", node.Name, "address", address)
	}
}

// expect has a host's record believed of one run alone, and asked for if it does not come
// by itself. n.mu is held.
func (n *Node) expect(host string, run uint32) {
	n.state.runs[host] = run
	if first := (position{firstEpoch(run), 1}); run != 0 && first.compare(n.state.at(host)) > 0 {
		n.lacks[host] = &lack{known: first}
	}
}

// welcome has some of the hosts compare what they know with one that is back: it may
// have started anew without a seed, and know nobody. n.mu is held.
func (n *Node) welcome(address netip.AddrPort) {
	if rand.IntN(len(n.hosts)) >= fanOut {
		return
	}
	n.revisit(address)
}

// mostRevisited bounds how many hosts are compared with at once; digests and probes reach the others.
const mostRevisited = 16

// revisit has this host compare what it knows with another one soon. n.mu is held.
func (n *Node) revisit(address netip.AddrPort) {
	if len(n.back) < mostRevisited {
		n.back = append(n.back, address)
	}
	select {
	case n.meet <- struct{}{}:
	default:
	}
}

func addressOf(node *memberlist.Node) netip.AddrPort {
	address, _ := netip.AddrFromSlice(node.Addr)
	return netip.AddrPortFrom(address.Unmap(), node.Port)
}
