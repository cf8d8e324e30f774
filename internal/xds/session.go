package xds

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// session is the state machine of one stream: requests and changed names go
// in, responses come out. It does no I/O, starts nothing and asks no clock;
// whoever drives it passes the time in and holds the locks.
type session struct {
	delta      bool
	aggregated bool
	only       kind // the one type of a stream that is not aggregated
	limits     Limits

	// patience is how long anything is held back for the sake of an order. A
	// client that stays silent or refuses is not waited for any longer.
	patience time.Duration

	ttl    bool // the client knows TTLs; see ttl.go
	bodies bool // it needs them in heartbeats

	// roster gives the names of one type that the scope holds; nil: not known.
	roster func(kind) *roster

	subs     [kindCount]*subscription
	nonce    uint64
	warming  []*warming // oldest first
	settling []settling
	// owed are the endpoints that the client still has to be sent after a cluster
	// that is waited for no more, by the nonce of the response that the cluster
	// came in; see owed.go.
	owed map[name]uint64
	// has are versions that nobody has answered and that the client took earlier.
	has map[kind][]sentItem
}

// Limits bound what one stream may ask for. Zero fields have the defaults.
type Limits struct {
	Names     int // resource names of one type; default 20,000
	NameBytes int // bytes of one name; default 1,024
}

const (
	defaultNames     = 20_000
	defaultNameBytes = 1_024
)

// maxInFlight is how many responses of one type may be unanswered. Beyond it
// changes are gathered, so that a busy client gets the latest state rather than
// every state. It also bounds what is remembered of a client that never answers.
const maxInFlight = 4

func newSession(delta, aggregated bool, only kind, limits Limits, patience time.Duration) *session {
	if limits.Names == 0 {
		limits.Names = defaultNames
	}
	if limits.NameBytes == 0 {
		limits.NameBytes = defaultNameBytes
	}
	return &session{delta: delta, aggregated: aggregated, only: only, limits: limits, patience: patience}
}

// touch takes in the names that changed.
func (s *session) touch(taken [kindCount]marks, v view) {
	for k, m := range taken {
		sub := s.subs[k]
		if sub == nil {
			continue
		}
		for id, gone := range m.gone {
			if !sub.covers(id) {
				continue
			}
			sub.want(id, false, m.since, true)
			sub.setGhost(id, gone, s.delta, v)
		}
	}
}

// response is what to send next.
type response struct {
	kind      kind
	version   version // of all that the client then holds of the type
	nonce     string
	resources []*Resource
	removed   []name // delta only
	alike     *alike // with the resources; nil: they are few
	ttl       bool   // the client knows TTLs
	heartbeat bool   // it keeps up what the client has, and waits for no answer
	bodies    bool   // of a heartbeat: it has them all the same
}

// next composes the next response, in the order of the kinds. Without one, look
// says when to try again although nothing happened; zero: never.
func (s *session) next(now time.Time, v view) (r *response, look time.Time) {
	for again := true; again; {
		r, look, again = s.pass(now, v)
		if r != nil {
			return r, time.Time{}
		}
	}
	return nil, look
}

// pass looks at each kind once. A second pass is due if one of them came to
// rest, without a response, after a removal had to wait for it.
func (s *session) pass(now time.Time, v view) (r *response, look time.Time, again bool) {
	keeping := false
	for k := range kindCount {
		sub := s.subs[k]
		if sub == nil {
			continue
		}
		look = sooner(look, sub.tryAgain(now))
		if !sub.due() {
			continue
		}
		if until := s.holdBack(now, sub, v); !until.IsZero() {
			look = sooner(look, until)
			continue
		}
		for more := true; more; {
			d := s.compose(now, sub, v)
			if d.send {
				r = s.dispatch(now, sub, d, v)
				d.release()
				return r, time.Time{}, false
			}
			d.release()
			sub.resting()
			look, more = sooner(look, d.look), d.more
		}
		again = again || keeping && !sub.due()
		keeping = keeping || sub.due()
	}
	return nil, look, again
}

// holdBack says until when a type as a whole has to wait, or zero.
func (s *session) holdBack(now time.Time, sub *subscription, v view) time.Time {
	if until := sub.busy(now, s.patience); !until.IsZero() || !sub.kind.facts().needsClusters {
		return until
	}
	until := s.clustersReadyAt(now, v)
	for _, k := range [...]kind{kindCluster, kindEndpoint} {
		if first := s.subs[k]; first != nil && first.due() {
			until = later(until, first.busy(now, s.patience)) // new ones are not even sent
		}
	}
	if until.IsZero() {
		return until
	}
	if sub.waiting.IsZero() {
		sub.waiting = now
	}
	limit := sub.waiting.Add(s.patience) // also if ever more clusters come
	if !now.Before(limit) {
		return time.Time{}
	}
	return sooner(until, limit)
}

// draft is a response in the making.
type draft struct {
	send    bool
	removed []name
	*scratch
	look time.Time // when removals that are still pending may be looked at again
	more bool      // what is still pending can be looked at at once
}

// scratch is the room that a draft is made in. It is used again for the next one
// of any stream: nothing may keep hold of it.
type scratch struct {
	pending   []pending
	resources []*Resource
	changed   []sentItem // what is new to the client, for its answer
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

func newDraft(send bool) *draft { return &draft{send: send, scratch: scratches.Get().(*scratch)} }

// release gives the room back.
func (d *draft) release() {
	clear(d.pending) // a pool keeps nothing alive
	clear(d.resources)
	clear(d.changed)
	d.pending, d.resources, d.changed = d.pending[:0], d.resources[:0], d.changed[:0]
	scratches.Put(d.scratch)
	d.scratch = nil
}

// composed closes a look at what was due. What the draft kept back stays pending.
func (s *subscription) composed() {
	s.rescan, s.owed, s.resume, s.waiting = false, false, "", time.Time{}
}

// resting closes a look that found nothing to send.
func (s *subscription) resting() {
	s.composed()
	if s.nonce == 0 || s.acknowledged && s.sent == s.acked {
		// The client holds what it should without being sent it: it said so, or
		// gave up the rest.
		s.sent, s.acked, s.acknowledged = s.held, s.held, true
	}
}

// dispatch closes a draft that goes out.
func (s *session) dispatch(now time.Time, sub *subscription, d *draft, v view) *response {
	s.nonce++
	r := &response{kind: sub.kind, version: sub.held, nonce: formatNonce(s.nonce), removed: d.removed}
	f := flight{nonce: s.nonce, at: now, since: sub.pendingSince, applied: sub.pendingApply, version: sub.held}
	if len(d.resources) >= manyItems && !sub.kind.facts().expires {
		r.alike = v.scope.alike(sub.kind, s.delta).of(d.resources, d.changed)
		r.resources, f.items = r.alike.resources, r.alike.changed
	} else {
		r.resources, f.items = slices.Clone(d.resources), slices.Clone(d.changed)
	}
	if !s.delta && sub.kind.facts().full {
		f.whole = r.resources
	}
	if f.since.IsZero() {
		f.since = now
	}
	sub.flights = append(sub.flights, f)
	sub.nonce, sub.sent = s.nonce, sub.held
	sub.responses++
	sub.composed()
	if sub.kind == kindCluster && s.aggregated {
		s.warm(now, f.items, r.resources, v)
	}
	return r
}

func formatNonce(n uint64) string { return strconv.FormatUint(n, 10) }

// later gives the later of two times, of which zero is none.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// sooner gives the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
