package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// Two hosts may have one name: a copy of a virtual machine. Each run of a host has a number,
// which memberlist tells with its address; a record is believed of the run that memberlist
// has for its host. Of two hosts with one name that find each other the one that has run for
// longer goes on, and the other one ends.

const (
	runBytes = 4
	// upTie is a difference of ages that proves nothing: lower numbers win then.
	upTie = 250 * time.Millisecond
	// refuteAgain bounds how often a host answers what is said of it in vain.
	refuteAgain = 5 * time.Second
)

// metaOf is what memberlist tells of this run.
func metaOf(run uint32, meta []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, run), meta...)
}

// splitMeta reads it; run 0 is not known.
func splitMeta(body []byte) (run uint32, meta []byte) {
	if len(body) < runBytes {
		return 0, nil
	}
	return binary.BigEndian.Uint32(body), body[runBytes:]
}

// conflicts is told of two hosts with one name.
type conflicts struct{ node *Node }

// NotifyConflict implements memberlist's ConflictDelegate.
func (c conflicts) NotifyConflict(existing, other *memberlist.Node) {
	n := c.node
	n.warn.Do(func() {
		n.cfg.Logger.Error("two hosts have the same name: give one of them another, by its --name",
			"host", existing.Name, "address", addressOf(existing), "other", addressOf(other))
	})
	if existing.Name == n.cfg.Name {
		n.mu.Lock()
		n.namesake = addressOf(other)
		n.mu.Unlock()
	}
}

// confront compares this host with another one of its name, if one was told of: it may be
// this host itself, at an address that it had before.
func (n *Node) confront() {
	n.mu.Lock()
	at := n.namesake
	n.namesake = netip.AddrPort{}
	n.confronts = at.IsValid()
	n.mu.Unlock()
	if at.IsValid() {
		if _, err := n.list.Join([]string{at.String()}); err != nil {
			n.cfg.Logger.Debug("another host of this one's name is not reached", "address", at, "error", err)
		}
		n.mu.Lock()
		n.confronts = false
		n.mu.Unlock()
	}
}

// meets takes what a host of this one's name says. It counts when this host looks for that
// one, where members said that it is: one message that comes by itself ends nobody.
func (n *Node) meets(m message) {
	n.mu.Lock()
	own, looked := n.run, n.confronts
	n.mu.Unlock()
	if !looked || m.Run == 0 || m.Run == own {
		return
	}
	age := time.Since(n.started) - time.Duration(m.Up)*time.Millisecond
	if age > upTie || age >= -upTie && own < m.Run {
		return
	}
	select {
	case n.ousted <- struct{}{}:
	default:
	}
}

var errNamesake = errors.New("it has run for longer: give this host another name, by --name")

func (n *Node) endedByNamesake() error {
	return fmt.Errorf("another host of the fleet has the name %q as well, and %w", n.cfg.Name, errNamesake)
}

// refute answers what is said of this host, but not over and over. n.mu is held.
func (n *Node) refute(claimed position) outcome {
	if time.Since(n.refuted) < refuteAgain {
		return known
	}
	if n.state.outbid(claimed) {
		n.renumber()
		return known // the others are told when they know the number
	}
	came := n.state.refute(claimed)
	if came == applied {
		n.refuted = time.Now()
	}
	return came
}

// renumber has this host go on as another run of itself: what was claimed of the run that it
// was leaves it no later epoch to answer with, and the others believe the run alone that
// memberlist tells of. n.mu is held.
func (n *Node) renumber() {
	n.refuted = time.Now()
	n.run = drawRun()
	n.state.own().restart(firstEpoch(n.run))
	n.anew = true
	select {
	case n.meet <- struct{}{}:
	default:
	}
}

// renew tells the others of another number of this host's run, if it has one.
func (n *Node) renew() {
	n.mu.Lock()
	anew := n.anew
	n.anew = false
	n.mu.Unlock()
	if !anew {
		return
	}
	if err := n.list.UpdateNode(time.Second); err != nil {
		n.cfg.Logger.Debug("that this host goes on as another run of itself goes on being told", "error", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spreadNews(n.cfg.Name, 0)
}
