package xds

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Quarantined is a version of a resource that a proxy refused and that no proxy
// has accepted. Nobody is sent it; the last good version stays in force.
type Quarantined struct {
	Type, Name, Version string
	Origin              Origin    // what it was made from, and who wrote that
	Good                string    // the version in force instead; empty: there is none
	Message             string    // the proxy's words
	Node                string    // which proxy
	At                  time.Time // when
}

// Quarantine lists what is quarantined now, by type and name.
func (s *Server) Quarantine() []Quarantined {
	t := s.table
	t.mu.RLock()
	all := make([]Quarantined, 0, len(t.refused))
	for e := range t.refused {
		if e.current == nil {
			continue // nobody is to have it in any version
		}
		q := e.doubt.refused.what
		if good := e.doubt.inForce(); good != nil {
			q.Good = good.Version
		}
		all = append(all, q)
	}
	t.mu.RUnlock()
	slices.SortFunc(all, func(a, b Quarantined) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
	})
	return all
}

// settle tells the table what an answer says of versions.
func (st *stream) settle(out outcome) {
	t, k := st.server.table, out.interest.kind
	if out.ack != nil || out.nack != nil {
		st.box.behind.Store(st.session.behind())
	}
	if !k.facts().tried {
		return
	}
	now := st.server.now()
	if len(out.accepted) > 0 {
		t.accepted(k, out.accepted, now)
	}
	if len(out.refused) == 0 || ownFault(out.nack.Message) {
		return
	}
	quarantined := t.refuse(st.box, k, out.refused, Quarantined{Message: out.nack.Message, Node: st.nodeID, At: out.nack.At})
	for _, one := range quarantined {
		st.session.subs[k].revert(one.sentItem, out.nackOf)
		if k == kindCluster {
			st.session.cool(one.id) // the client still has the old one, which is warm
		}
		if one.known {
			continue // this one was sent it before
		}
		what := "a version is quarantined because this proxy refused it: no other is sent it, the last good one stays in force"
		if one.wide {
			what = "a version is quarantined because this proxy refused it: others that were sent it too go back to the last good one"
		}
		st.logger().Error(what,
			"type", k, "resource", one.id.Value(), "version", one.version.String(), "origin", one.from(), "message", out.nack.Message)
	}
	if len(quarantined) == len(out.refused) {
		st.session.sendOthers(k, out.passedOver, out.nack.At)
	}
}

// behind says whether the client has still to answer anything, or refused what
// was not replaced: it is no good canary then.
func (s *session) behind() bool {
	return slices.ContainsFunc(s.subs[:], func(sub *subscription) bool {
		return sub != nil && (len(sub.flights) > 0 || len(sub.rejected) > 0)
	})
}

// revert notes that a client that refused a version, in the response with that
// nonce, goes on with the one that it had before, or with what it was sent behind
// it: it has not answered that yet, and will refuse the same version again.
func (s *subscription) revert(one sentItem, nonce uint64) {
	if !s.current(one) {
		return
	}
	for _, f := range s.flights {
		for _, later := range f.items {
			if f.nonce > nonce && later.id == one.id && later.version != one.version {
				one.before = later.version
			}
		}
	}
	if ghost := s.ghosts[one.id]; ghost != nil && ghost.version == one.version {
		delete(s.ghosts, one.id) // it would be refused with every response
	}
	if one.before != 0 {
		s.setHeld(one.id, one.before)
	} else {
		standing, ok := s.rejected[one.id]
		s.setAbsent(one.id)
		if ok {
			s.rejected[one.id] = standing
		}
	}
	s.sent = s.held
}

// sendOthers makes due again what a client passed over together with what it
// refused, in a response that held everything. It can be sent now, because what
// was refused is not part of it any more.
func (s *session) sendOthers(k kind, items []sentItem, since time.Time) {
	for _, one := range items {
		s.subs[k].retry(one, false, since)
	}
}
