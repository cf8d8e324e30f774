package xds

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Holding is what one proxy has of one resource. Its resources are those of the
// server itself: nothing is encoded or copied for it.
type Holding struct {
	Type  string // type URL
	Name  string
	State HoldingState
	Shown Shown

	Held    string // the version that the proxy goes on with; empty: none
	Sent    string // the version that it was sent last; empty: none
	Current string // the version that it is to have now; empty: none
	Newest  string // the version that was applied last; empty: there is no such resource

	Declared *Resource // in the newest version; nil: there is none
	Has      *Resource // in the version that is held; nil: none is, or its bytes are kept no more

	Refusal *Refusal // of the newest version, or of what was sent; nil: there is none
	Cause   *Key     // with ShownNeeding: what was refused
	First   string   // with ShownLater: the node that tries the newest version; empty: one of another scope
}

// HoldingState is how far a proxy has come with a resource.
type HoldingState string

// The states of a resource.
const (
	HoldingSynced   HoldingState = "synced"   // the proxy has what it is to have
	HoldingSent     HoldingState = "sent"     // it was sent that, and has not answered
	HoldingBehind   HoldingState = "behind"   // it was not sent that yet
	HoldingRefused  HoldingState = "refused"  // it refused what it was sent
	HoldingWithheld HoldingState = "withheld" // there is no version that it may be sent
	HoldingAbsent   HoldingState = "absent"   // it asked for it, and its scope has no such resource
	HoldingLeaving  HoldingState = "leaving"  // it has it still, and is to lose it
)

// Shown says why a proxy is to have a version.
type Shown string

// Why a proxy is to have a version.
const (
	ShownNewest  Shown = "newest"
	ShownFirst   Shown = "first"    // the newest, which it tries before others are sent it
	ShownLater   Shown = "later"    // that of before, while another proxy tries the newest
	ShownGood    Shown = "lastGood" // the last one that a proxy accepted: the newest was refused
	ShownNeeding Shown = "needing"  // that of before: the newest needs something that was refused
)

// Refusal is what a proxy said of a version that it did not take.
type Refusal struct {
	Node    string
	Message string
	Version string // of the resource; empty: not known any more
	At      time.Time
}

// Holdings tells what the streams of one node have, by type and name, all of it
// at one moment; no streams: the node is not connected. Of several streams that
// asked for a resource the one that came last counts. wanted says what to tell of,
// while the server is held still, so it has to be quick; nil: of everything.
func (s *Server) Holdings(node string, wanted func(typeURL, name string) bool) ([]ProxyStatus, []Holding) {
	streams := s.streamsOf(node)
	for _, st := range streams { // by id, so that two callers cannot wait for each other
		st.mu.Lock()
		defer st.mu.Unlock()
	}
	s.table.mu.RLock()
	var statuses []ProxyStatus
	var all []Holding
	seen := [kindCount]map[name]bool{}
	for _, st := range slices.Backward(streams) {
		if st.left {
			continue
		}
		statuses = append(statuses, st.statusLocked())
		for k, sub := range st.session.subs {
			if sub == nil {
				continue
			}
			if seen[k] == nil {
				seen[k] = map[name]bool{}
			}
			all = st.holdings(sub, wanted, seen[k], all)
		}
	}
	s.table.mu.RUnlock()
	slices.SortFunc(all, func(a, b Holding) int {
		ka, _ := kindOf(a.Type)
		kb, _ := kindOf(b.Type)
		return cmp.Or(cmp.Compare(ka, kb), strings.Compare(a.Name, b.Name))
	})
	return statuses, all
}

// holdings adds what a stream has of one type. The caller has st.mu and the
// table's lock.
func (st *stream) holdings(sub *subscription, wanted func(typeURL, name string) bool, seen map[name]bool, all []Holding) []Holding {
	url := sub.kind.facts().url
	open := map[name]version{} // what is not answered, and what the client had before
	for _, f := range sub.flights {
		for _, one := range f.items {
			if _, earlier := open[one.id]; !earlier {
				open[one.id] = one.before
			}
		}
	}
	add := func(id name) {
		if !seen[id] && (wanted == nil || wanted(url, id.Value())) {
			seen[id] = true
			all = append(all, st.holding(sub, id, open))
		}
	}
	for id, it := range sub.items.all() {
		if it.explicit() && id != wildcard || it.held() {
			add(id)
		}
	}
	for id := range sub.rejected {
		add(id)
	}
	if sub.wildcard {
		for id := range st.box.scope.members[sub.kind] {
			add(id)
		}
	}
	return all
}

// holding tells of one name; open is what the client has not answered, with what
// it had before.
func (st *stream) holding(sub *subscription, id name, open map[name]version) Holding {
	v, it := view{st.box.scope, st.box}, sub.items.get(id)
	h := Holding{Type: sub.kind.facts().url, Name: id.Value(), Shown: ShownNewest}
	e := v.scope.members[sub.kind][id]
	due := st.session.shown(e, v)
	if e != nil {
		h.Declared = e.current
		if sub.kind == kindEndpoint {
			h.Declared = due // in the version that covers its clusters; endpoints are not tried
		}
		h.shownAs(e, v)
	}
	sent, held, answered := sub.versions(id, it, open)
	h.Sent, h.Held = sent.text(), held.text()
	if due != nil {
		h.Current = due.Version
	}
	if h.Declared != nil {
		h.Newest = h.Declared.Version
	}
	if held != 0 {
		h.Has = sub.bytesOf(id, held, e, v)
	}
	refused, rejected := sub.rejected[id]
	switch {
	case rejected:
		h.State = HoldingRefused
		if own := st.refusal(sub.lastNack, refused); own != nil {
			h.Refusal = own
		}
	case !answered:
		h.State = HoldingSent
	case due == nil && h.Declared != nil:
		h.State = HoldingWithheld
	case due == nil && held != 0:
		h.State = HoldingLeaving
	case due == nil:
		h.State = HoldingAbsent
	case held == due.version:
		h.State = HoldingSynced
	default:
		h.State = HoldingBehind
	}
	return h
}

// shownAs says why a stream is shown an entry as it is.
func (h *Holding) shownAs(e *entry, v view) {
	if d := e.doubt; d != nil && d.refused != nil {
		q := d.refused.what
		h.Shown, h.Refusal = ShownGood, &Refusal{Node: q.Node, Message: q.Message, Version: q.Version, At: q.At}
		return
	} else if d != nil && d.cause != nil {
		h.Shown, h.Cause = ShownNeeding, &Key{d.cause.kind.facts().url, d.cause.id.Value()}
		return
	}
	s := v.scope
	if s.trial == nil {
		return
	}
	before, held := s.trial.held[e]
	if !held || before == e.current {
		return
	}
	switch _, open := s.trial.open[e]; {
	case s.sees(v.box):
		if open {
			h.Shown = ShownFirst
		}
	case v.shown(e) != e.current:
		h.Shown = ShownLater
		if c := s.canary(); c != nil {
			h.First = c.node
		}
	}
}

// versions gives what a client was sent last of a name, and what it goes on with;
// 0 is nothing. answered says that it has answered all that it was sent.
func (s *subscription) versions(id name, it item, open map[name]version) (sent, held version, answered bool) {
	if it.held() {
		sent, held = it.version(), it.version()
	}
	if before, is := open[id]; is {
		return sent, before, false
	}
	if refused, is := s.rejected[id]; is {
		if held == refused.version {
			held = refused.before
		}
		sent = refused.version
	}
	if kept, passedOver := s.kept[id]; passedOver {
		held = kept
	}
	return sent, held, true
}

// bytesOf finds a version of an entry among those that are kept; nil: it is not.
func (s *subscription) bytesOf(id name, v version, e *entry, of view) *Resource {
	found := func(r *Resource) bool { return r != nil && r.version == v }
	if e != nil {
		if found(e.current) {
			return e.current
		}
		if d := e.doubt; d != nil && found(d.good) {
			return d.good
		} else if d != nil && found(d.base) {
			return d.base
		}
		if of.scope.trial != nil && found(of.scope.trial.held[e]) {
			return of.scope.trial.held[e]
		}
		if c := e.covering.Load(); c != nil && found(c.encoded) {
			return c.encoded
		}
	}
	if ghost := s.ghosts[id]; found(ghost) {
		return ghost
	}
	for _, f := range s.flights {
		if i := slices.IndexFunc(f.whole, func(r *Resource) bool { return r.id == id && r.version == v }); i >= 0 {
			return f.whole[i]
		}
	}
	return nil
}

// refusal is what the client said of one resource, if it was the last thing that
// it refused: earlier words are not kept.
func (st *stream) refusal(n *Nack, refused sentItem) *Refusal {
	if n == nil || !slices.Contains(n.Names, refused.id.Value()) {
		return nil
	}
	return &Refusal{Node: st.nodeID, Message: n.Message, Version: refused.version.text(), At: n.At}
}

// text is the version's form on the wire, or nothing for none.
func (v version) text() string {
	if v == 0 {
		return ""
	}
	return v.String()
}
