package xds

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unique"
)

// A version that was refused is not sent again of the server's own accord, with
// two exceptions: what a proxy could not take for a reason of its own machine is
// tried again after a while, and all is tried again with a changed runtime, by
// which a proxy may judge differently.

// A resource is tried again after tryFirst, and then after twice the time before,
// at most tryMost.
const (
	tryFirst = 5 * time.Second
	tryMost  = time.Minute
)

// trying is when a resource is tried again.
type trying struct {
	at   time.Time // zero: it was sent and is not answered
	wait time.Duration
}

// ownFault says whether a proxy refused for a reason of its own machine, which
// says nothing of the configuration: the others must not be kept from it. The
// words are Envoy's, of a listener whose port another program has.
func ownFault(message string) bool { return strings.Contains(message, "cannot bind") }

// tryLater has what a client refused for a reason of its own machine sent again.
func (s *subscription) tryLater(blamed []sentItem, now time.Time) {
	if s.trying == nil {
		s.trying = map[name]trying{}
	}
	for _, one := range blamed {
		wait := min(max(2*s.trying[one.id].wait, tryFirst), tryMost)
		s.trying[one.id] = trying{at: now.Add(wait), wait: wait}
	}
}

// tryAgain makes due what is to be tried again now, and says when to look next;
// zero: never.
func (s *subscription) tryAgain(now time.Time) (look time.Time) {
	for id, one := range s.trying {
		_, refused := s.rejected[id]
		switch {
		case !refused:
			delete(s.trying, id) // given up, or replaced
		case one.at.IsZero():
		case now.Before(one.at):
			look = sooner(look, one.at)
		default:
			s.trying[id] = trying{wait: one.wait}
			s.want(id, true, now, false)
		}
	}
	return look
}

// TryAgain has what proxies refused for a reason of their own machines sent again at once,
// because that reason is over, rather than after the while that it takes by itself.
func (s *Server) TryAgain(typeURL, resource string) {
	k, ok := kindOf(typeURL)
	if !ok {
		return
	}
	s.mu.Lock()
	streams := slices.Collect(maps.Values(s.streams))
	s.mu.Unlock()
	for _, st := range streams {
		if st.tryNow(k, unique.Make(resource), s.now()) {
			st.box.signal()
		}
	}
}

// tryNow says whether the stream waited to try this again; it does no longer.
func (st *stream) tryNow(k kind, id name, now time.Time) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	sub := st.session.subs[k]
	if sub == nil || sub.trying[id].at.IsZero() {
		return false
	}
	sub.trying[id] = trying{at: now, wait: sub.trying[id].wait}
	return true
}

// tryAll makes due everything that the client refused.
func (s *session) tryAll(now time.Time) {
	for _, sub := range s.subs {
		if sub == nil {
			continue
		}
		for id := range sub.rejected {
			sub.want(id, true, now, true)
		}
	}
}

// pardon ends the quarantine of everything, because the runtime changed.
func (t *table) pardon(tn *turn) {
	for _, e := range slices.Collect(maps.Keys(t.refused)) {
		t.alter(e, tn)
		d := *e.doubt
		d.refused = nil
		t.setDoubt(e, &d)
		tn.mended = append(tn.mended, e)
	}
}
