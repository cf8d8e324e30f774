package xds

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// ProxyStatus is how far one stream has come. A proxy on the aggregated service
// has one stream, one on the separate services has one for each.
type ProxyStatus struct {
	Node      string // the node's id
	Service   string // what stands before the slash in the node's id
	Instance  string // what stands behind it
	Cluster   string // the node's cluster
	Scope     string // empty while the scope is being opened
	Address   string // the client's end of the connection
	Transport Transport
	Connected time.Time
	Types     []TypeStatus // what was asked for, in the order of sending
	Refused   []string     // type URLs that were asked for and that are not served
}

// TypeStatus is how far one stream has come with one type.
type TypeStatus struct {
	Type         string // type URL
	Wildcard     bool   // everything that the scope holds is subscribed to
	Names        int    // how many names are subscribed to by themselves
	Sent         string // version of all that the client holds once it has taken in the last response; empty: nothing was sent
	Acknowledged string // the same as of the last acknowledgement
	Responses    uint64
	Nacks        uint64
	LastNack     *Nack     // nil: there was none
	BehindSince  time.Time // since when the client lacks something; zero: it has everything
	Waiting      bool      // something is still to be sent or answered; what was refused aside
	Rejected     []Rejection
}

// Rejection is a resource that the client refused, and nothing that it accepted has
// replaced yet.
type Rejection struct {
	Name    string
	Origin  Origin
	Message string // the client's words
}

// Status lists the open streams, by node and transport.
func (s *Server) Status() []ProxyStatus {
	s.mu.Lock()
	streams := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.Unlock()
	return statuses(streams)
}

// StatusOf lists those of one service or gateway whose scopes are open: the nodes
// "<service>/…". It looks at no stream of others.
func (s *Server) StatusOf(service string) []ProxyStatus {
	var streams []*stream
	s.mu.Lock()
	for node, of := range s.nodes {
		if rest, is := strings.CutPrefix(node, service); is && strings.HasPrefix(rest, "/") {
			streams = slices.AppendSeq(streams, maps.Values(of))
		}
	}
	s.mu.Unlock()
	return statuses(streams)
}

func statuses(streams []*stream) []ProxyStatus {
	all := make([]ProxyStatus, 0, len(streams))
	for _, st := range streams {
		all = append(all, st.status())
	}
	slices.SortFunc(all, func(a, b ProxyStatus) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(string(a.Transport), string(b.Transport)),
			a.Connected.Compare(b.Connected))
	})
	return all
}

// streamsOf gives the streams of a node whose scopes are open, by their ids.
func (s *Server) streamsOf(node string) []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.nodes[node]), func(a, b *stream) int { return cmp.Compare(a.id, b.id) })
}

// enlist makes a stream known by its node.
func (s *Server) enlist(st *stream, node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes[node] == nil {
		s.nodes[node] = map[uint64]*stream{}
	}
	s.nodes[node][st.id] = st
}

// delist undoes enlist. The caller has s.mu.
func (s *Server) delist(st *stream) {
	node := st.box.node
	delete(s.nodes[node], st.id)
	if len(s.nodes[node]) == 0 {
		delete(s.nodes, node)
	}
}

func (st *stream) status() ProxyStatus {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.statusLocked()
}

// statusLocked is status for who has st.mu.
func (st *stream) statusLocked() ProxyStatus {
	p := ProxyStatus{Node: st.nodeID, Cluster: st.cluster, Scope: st.scopeName, Address: st.peer,
		Transport: st.transport, Connected: st.connected, Refused: slices.Clone(st.refused)}
	p.Service, p.Instance, _ = strings.Cut(p.Node, "/")
	for _, sub := range st.session.subs {
		if sub != nil {
			p.Types = append(p.Types, sub.status())
		}
	}
	return p
}

func (s *subscription) status() TypeStatus {
	t := TypeStatus{Type: s.kind.facts().url, Wildcard: s.wildcard, Names: s.asked,
		Responses: s.responses, Nacks: s.nacks, BehindSince: s.behindSince()}
	if s.nonce != 0 || s.acknowledged {
		t.Sent = s.sent.String()
	}
	switch {
	case t.BehindSince.IsZero():
		t.Acknowledged = t.Sent // what was not acknowledged is not wanted any more
	case s.acknowledged:
		t.Acknowledged = s.acked.String()
	}
	t.Waiting = s.due() || len(s.flights) > 0
	for id, one := range s.rejected {
		t.Rejected = append(t.Rejected, Rejection{Name: id.Value(), Origin: one.from(), Message: s.words[id]})
	}
	slices.SortFunc(t.Rejected, func(a, b Rejection) int { return strings.Compare(a.Name, b.Name) })
	if s.lastNack != nil {
		nack := *s.lastNack
		nack.Names, nack.Origins = slices.Clone(nack.Names), slices.Clone(nack.Origins)
		nack.Standing = len(s.rejected) > 0 || len(s.alone) > 0
		t.LastNack = &nack
	}
	return t
}
