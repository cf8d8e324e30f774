package gossip

import "time"

// receive takes what another host says.
func (n *Node) receive(m message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ask []Known
	for _, d := range m.Deltas {
		if n.learn(m.From, d) == gap {
			ask = append(ask, n.want(d.Host, position{d.Epoch, d.To})...)
		}
	}
	for _, one := range m.Digest {
		at := position{one.Epoch, one.Version}
		if one.Host == n.cfg.Name && n.refute(at) == applied {
			n.spreadNews(n.cfg.Name, 0)
		}
		ask = append(ask, n.want(one.Host, at)...)
	}
	n.request(m.From, ask)
	n.asked(m.From, m.Ask)
	n.told = n.told || len(m.Digest) > 0
	if n.told && len(n.lacks) == 0 {
		n.compare()
	}
}

// learn takes one delta that somebody tells. n.mu is held.
func (n *Node) learn(teller string, d Delta) outcome {
	from, cost := n.state.at(d.Host).Version, n.state.records[d.Host].cost()
	var came outcome
	if !n.room(d) {
		n.refuse(overfull, position{}, "strays", "more is told of them than is kept: %d records and %d bytes, until they are members", maxStrays, maxStrayBytes)
		return known
	}
	if d.Host == n.cfg.Name {
		came = n.refute(position{d.Epoch, d.To})
	} else {
		came = n.state.merge(d)
	}
	if came == refused {
		n.refuseRecord(teller, d)
	}
	if came != applied {
		return came
	}
	n.withdraw(d.Host)
	if d.Host == n.cfg.Name || d.From == 0 {
		from = 0
	}
	if _, member := n.hosts[d.Host]; !member {
		n.strays[d.Host] = time.Now()
		n.strayBytes += n.state.records[d.Host].cost() - cost
	}
	if l, there := n.lacks[d.Host]; there && n.state.at(d.Host).compare(l.known) >= 0 {
		delete(n.lacks, d.Host)
	}
	n.spreadNews(d.Host, from)
	if m, member := n.hosts[d.Host]; member && m.status == Failed && d.Leaving {
		m.status = Left
	}
	return came
}

// spreadNews has the others told what changed of a host after a version, and wakes
// the feeds. n.mu is held.
func (n *Node) spreadNews(host string, from uint64) {
	n.rumors.tell(host, from, roundsFor(len(n.hosts)))
	if _, member := n.hosts[host]; member {
		n.changed(host)
	}
	select {
	case n.kick <- struct{}{}:
	default:
	}
}
