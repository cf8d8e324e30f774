package gossip

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/memberlist"
)

// How news go out.
const (
	writers = 4 // goroutines that send over connections
	// packetBytes is for what a packet says; memberlist's has 1,400, with its headers,
	// the fleet's name and what encryption adds.
	packetBytes = 1000
	// roundInterval is between rounds of what was told before; what is new waits for
	// minRound at most, so that a burst is told at once.
	roundInterval = 100 * time.Millisecond
	minRound      = 10 * time.Millisecond
	letterBytes   = 1 << 20 // of deltas in one letter, if there are several
	askAgain      = time.Second
	mostTries     = 10
)

// letter goes to one host over a connection: it asks; or it answers some of what that host
// asked ([Node.asked]), if it asks nothing.
type letter struct {
	to  string
	ask []Known
}

// lack is what somebody has been heard to know of a host, and this one does not.
type lack struct {
	known position  // to somebody
	asked time.Time // last
	tries int
}

// mail hands a letter to those who send them, and says whether they have it. When too many
// wait it is lost: what was asked for is asked again. n.mu is held.
func (n *Node) mail(l letter) bool {
	select {
	case n.letters <- l:
		return true
	default:
		return false
	}
}

// request asks somebody for what is wanted of others, if anything. n.mu is held.
func (n *Node) request(to string, ask []Known) {
	if len(ask) > 0 {
		n.mail(letter{to: to, ask: ask})
	}
}

// want notes what somebody knows more of a host, and gives what to ask, unless
// somebody was asked for it just now. n.mu is held.
func (n *Node) want(host string, known position) []Known {
	at := n.state.at(host)
	if host == n.cfg.Name || known.compare(at) <= 0 || !n.state.believes(host, known.Epoch) {
		return nil
	}
	l, there := n.lacks[host]
	more := !there || known.compare(l.known) > 0
	switch {
	case !more && time.Since(l.asked) < askAgain:
		return nil
	case !there && len(n.lacks) >= len(n.hosts)+maxStrays:
		return nil // a digest tells of it again
	case more && n.wasRefused(host, known):
		return nil
	case !there:
		l = &lack{}
		n.lacks[host] = l
	}
	if more {
		l.known, l.tries = known, 0
	}
	l.asked = time.Now()
	l.tries++
	return []Known{{host, at.Epoch, at.Version}}
}

// remind asks again for what has not come, somebody else, until ctx ends.
func (n *Node) remind(ctx context.Context) {
	n.every(ctx, askAgain, func(time.Time) {
		n.resume()
		n.askOthers()
	})
}

// every does something again and again, with n.mu held, until ctx ends.
func (n *Node) every(ctx context.Context, interval time.Duration, do func(now time.Time)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.mu.Lock()
			do(time.Now())
			n.mu.Unlock()
		}
	}
}

// askOthers asks a few hosts for all that has not come, each for a part. n.mu is held.
func (n *Node) askOthers() {
	to := n.draw()
	parts := make([][]Known, len(to))
	for host, l := range n.lacks {
		if l.tries >= mostTries || len(to) == 0 {
			delete(n.lacks, host) // the next digest says whether there is such a thing
			continue
		}
		i := rand.IntN(len(to))
		parts[i] = append(parts[i], n.want(host, l.known)...)
	}
	for i, part := range parts {
		n.request(to[i].Name, part)
	}
}

// write sends letters until ctx ends.
func (n *Node) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-n.letters:
			if err := n.send(l); err != nil {
				n.cfg.Logger.Debug("a host could not be asked, or answered", "host", l.to, "error", err)
			}
		}
	}
}

func (n *Node) send(l letter) error {
	to, err := n.memberOf(l.to)
	if err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.askers, l.to) // it asks again when it is back
		return err
	}
	if len(l.ask) > 0 {
		return n.list.SendReliable(to, encode(message{From: n.cfg.Name, Ask: l.ask}))
	}
	return n.answer(to)
}

// spread tells the news in rounds until ctx ends.
func (n *Node) spread(ctx context.Context) {
	timer := time.NewTimer(roundInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.kick:
		case <-timer.C:
		}
		more := n.round()
		if more {
			timer.Reset(roundInterval)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(minRound):
		}
	}
}

// round tells some hosts the news; it says whether there are more to tell.
func (n *Node) round() (more bool) {
	n.mu.Lock()
	to := n.draw()
	var packets [][]Delta
	if len(to) > 0 {
		packets = n.rumors.round(n.state, packetBytes)
	} else {
		clear(n.rumors) // who comes later asks
	}
	more = len(n.rumors) > 0
	n.mu.Unlock()
	for _, packet := range packets {
		body := encode(message{From: n.cfg.Name, Deltas: packet})
		for _, one := range to {
			if err := n.list.SendBestEffort(one, body); err != nil {
				n.cfg.Logger.Debug("news could not be sent", "host", one.Name, "error", err)
			}
		}
	}
	return more
}

// draw picks hosts to tell: as many as fanOut, alive, at random. n.mu is held.
func (n *Node) draw() []*memberlist.Node {
	drawn := make([]*memberlist.Node, 0, fanOut)
	seen := 0
	for name, m := range n.hosts {
		if m.status != Alive || name == n.cfg.Name {
			continue
		}
		seen++ // reservoir sampling: each is as likely as any other
		if len(drawn) < fanOut {
			drawn = append(drawn, m.node)
		} else if i := rand.IntN(seen); i < fanOut {
			drawn[i] = m.node
		}
	}
	return drawn
}
