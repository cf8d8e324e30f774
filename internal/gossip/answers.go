package gossip

import "github.com/hashicorp/memberlist"

// answerBytes is what one host is answered in a second, or one record: whose name a question
// has is not proven, so that it may be a third host that is sent what it did not ask for.
const answerBytes = MaxRecordBytes

// asker is a member that asked for records. It is sent one letter at a time, so that it does
// not keep the others waiting.
type asker struct {
	wants  map[string]position // by host: how far it is known to the asker
	sent   int                 // bytes, in this second
	queued bool                // a letter to it waits, or is being sent
}

// asked notes what a member asks for. n.mu is held.
func (n *Node) asked(from string, list []Known) {
	m, member := n.hosts[from]
	list = n.state.have(list)
	if !member || m.status != Alive || len(list) == 0 {
		return
	}
	a, there := n.askers[from]
	if !there {
		a = &asker{wants: map[string]position{}}
		n.askers[from] = a
	}
	for _, one := range list {
		at := position{one.Epoch, one.Version}
		if before, there := a.wants[one.Host]; !there || at.compare(before) < 0 {
			a.wants[one.Host] = at
		}
	}
	n.queue(from, a)
}

// queue has an asker sent what it may be sent now. n.mu is held.
func (n *Node) queue(to string, a *asker) {
	if !a.queued && len(a.wants) > 0 && a.sent < answerBytes {
		a.queued = n.mail(letter{to: to})
	}
}

// resume goes on, each second, with those who were sent as much as they are in one. n.mu is held.
func (n *Node) resume() {
	for name, a := range n.askers {
		a.sent = 0
		if n.queue(name, a); !a.queued && len(a.wants) == 0 {
			delete(n.askers, name)
		}
	}
}

// answer sends a host one letter of what it asked for.
func (n *Node) answer(to *memberlist.Node) error {
	n.mu.Lock()
	a, there := n.askers[to.Name]
	if !there {
		n.mu.Unlock()
		return nil
	}
	deltas := a.take(n.state)
	n.mu.Unlock()
	var err error
	if len(deltas) > 0 {
		err = n.list.SendReliable(to, encode(message{From: n.cfg.Name, Deltas: deltas}))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a.queued = false
	if err != nil {
		clear(a.wants) // it asks again, somebody
	}
	n.queue(to.Name, a)
	return err
}

// take gives what fits a letter of what an asker wants.
func (a *asker) take(s *state) []Delta {
	var deltas []Delta
	bytes := 0
	for host, at := range a.wants {
		if bytes >= letterBytes || a.sent >= answerBytes {
			break
		}
		delete(a.wants, host)
		for _, d := range s.answer([]Known{{host, at.Epoch, at.Version}}) {
			needs := size(d)
			bytes += needs
			a.sent += needs
			deltas = append(deltas, d)
		}
	}
	return deltas
}
