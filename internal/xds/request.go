package xds

import (
	"slices"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// request is a discovery request of either variant, without its node.
type request struct {
	typeURL string
	nonce   string
	nack    *nackDetail

	// SotW: the whole list of names, and the version that the client has.
	names   nameList
	version string

	// Delta: the change of the list, and the versions that the client has.
	subscribe   nameList
	unsubscribe nameList
	initial     map[string]string
}

// nackDetail is why a client refused a response.
type nackDetail struct{ message string }

func sotwRequest(r *discoveryv3.DiscoveryRequest) request {
	out := request{typeURL: r.GetTypeUrl(), nonce: r.GetResponseNonce(), names: nameListOf(r.GetResourceNames()), version: r.GetVersionInfo()}
	if r.GetErrorDetail() != nil {
		out.nack = &nackDetail{message: r.GetErrorDetail().GetMessage()}
	}
	return out
}

// deltaRequest takes a message and a list of names to subscribe to that was taken
// out of it; nil: none was.
func deltaRequest(r *discoveryv3.DeltaDiscoveryRequest, taken *nameList) request {
	out := request{typeURL: r.GetTypeUrl(), nonce: r.GetResponseNonce(), initial: r.GetInitialResourceVersions(),
		subscribe: nameListOf(r.GetResourceNamesSubscribe()), unsubscribe: nameListOf(r.GetResourceNamesUnsubscribe())}
	if taken != nil {
		out.subscribe = taken.plus(out.subscribe)
	}
	if r.GetErrorDetail() != nil {
		out.nack = &nackDetail{message: r.GetErrorDetail().GetMessage()}
	}
	return out
}

// outcome is what a request did.
type outcome struct {
	unknownType bool // the type is not served: nothing was done
	interest    interest
	ack         *ack
	nack        *Nack

	nackOf     uint64     // the nonce of the refused response
	accepted   []sentItem // versions that the client took, or came with
	refused    []sentItem // versions that it blamed
	passedOver []sentItem // what else was in a refused response that held everything
}

// ack is one acknowledged response.
type ack struct {
	kind    kind
	applied bool          // it was caused by an update
	took    time.Duration // since the oldest change in it
}

// request takes in one request. An error is a gRPC status that ends the stream.
func (s *session) request(now time.Time, r request) (outcome, error) {
	k, known, err := s.kindOf(r.typeURL)
	if err != nil {
		return outcome{}, err
	}
	if !known {
		return outcome{unknownType: true}, nil
	}
	if err := s.checkSize(r); err != nil {
		return outcome{}, err
	}
	sub := s.subs[k]
	first := sub == nil
	if first {
		sub = newSubscription(k)
		s.subs[k] = sub
	}
	out := outcome{interest: interest{kind: k}}
	fresh, wild := true, sub.wildcard
	if !first {
		fresh = s.answer(now, sub, r, &out)
	}
	switch {
	case s.delta:
		s.deltaNames(now, sub, r, first, &out.interest)
		if first {
			out.accepted = sub.broughtAlong(r)
		}
	case first, fresh:
		s.sotwNames(now, sub, r, first, &out.interest)
	}
	out.interest.wild, out.interest.roster = sub.wildcard, sub.items.roster
	if k == kindCluster && (wild && !sub.wildcard || len(out.interest.quit) > 0) {
		s.recheckEndpoints(now)
	}
	if sub.asked > s.limits.Names {
		return out, status.Errorf(codes.ResourceExhausted, "%d %s names subscribed to on one stream; at most %d are taken", sub.asked, k, s.limits.Names)
	}
	return out, nil
}

// kindOf finds what a request is about. A type that nobody here knows is not
// an error on an aggregated stream: a newer client may ask for more than this
// server has, and must keep what it gets.
func (s *session) kindOf(typeURL string) (k kind, known bool, err error) {
	if !s.aggregated {
		if typeURL != "" && typeURL != s.only.facts().url {
			return 0, false, status.Errorf(codes.InvalidArgument,
				"type_url %.200q on a stream that serves %s; use the aggregated service for other types", typeURL, s.only.facts().url)
		}
		return s.only, true, nil
	}
	if typeURL == "" {
		return 0, false, status.Error(codes.InvalidArgument, "type_url is empty; an aggregated stream needs it in every request")
	}
	k, known = kindOf(typeURL)
	return k, known, nil
}

// checkSize refuses lists that no proxy needs, so that one client cannot take
// the memory of all.
func (s *session) checkSize(r request) error {
	limit := s.limits.Names
	for _, n := range []int{len(r.names.ids), len(r.subscribe.ids), len(r.unsubscribe.ids), len(r.initial)} {
		if n > limit {
			return status.Errorf(codes.ResourceExhausted, "a request with %d resource names; at most %d are taken", n, limit)
		}
	}
	for _, list := range [...]nameList{r.names, r.subscribe, r.unsubscribe} {
		if list.empty {
			return status.Error(codes.InvalidArgument, "an empty resource name; leave it out")
		}
		if list.longest > s.limits.NameBytes {
			return status.Errorf(codes.InvalidArgument, "a resource name of %d bytes; at most %d are taken", list.longest, s.limits.NameBytes)
		}
	}
	return nil
}

// answer takes in the acknowledgement or refusal that a request may carry. It
// says whether the request's nonce is that of the latest response: a SotW
// request is ignored if not (xDS protocol, "Resource updates").
func (s *session) answer(now time.Time, sub *subscription, r request, out *outcome) (fresh bool) {
	if r.nonce == "" {
		// Not an answer. The client sent it before it saw a response, or, in
		// delta, of its own accord.
		return sub.nonce == 0
	}
	nonce, err := strconv.ParseUint(r.nonce, 10, 64)
	if err != nil {
		return false
	}
	fresh = nonce == sub.nonce
	i := sub.inFlight(nonce)
	if i < 0 {
		if r.nack != nil && nonce == sub.heartbeat {
			sub.missed(now)
		}
		return fresh // answered before, or a heartbeat: a change of names under an old nonce
	}
	f := sub.flights[i]
	if s.delta {
		sub.flights = slices.Delete(sub.flights, i, i+1)
	} else {
		// A SotW client answers in order, and each response builds on the last.
		sub.flights = slices.Delete(sub.flights, 0, i+1)
	}
	if r.nack != nil {
		out.nack, out.nackOf = s.nacked(now, sub, f, r.nack.message, out), f.nonce
		return fresh
	}
	s.acked(now, sub, f)
	out.accepted = f.taken()
	out.ack = &ack{kind: sub.kind, applied: f.applied, took: now.Sub(f.since)}
	return fresh
}

// deltaNames takes in the names of a delta request. They count whatever the
// nonce (xDS protocol, "Incremental xDS").
func (s *session) deltaNames(now time.Time, sub *subscription, r request, first bool, in *interest) {
	if first {
		if sub.kind.facts().full && len(r.subscribe.ids) == 0 && len(r.unsubscribe.ids) == 0 {
			sub.setWildcard(now)
		}
		s.takeInitial(now, sub, r)
	}
	s.expect(sub, len(r.subscribe.ids))
	in.wait = slices.Grow(in.wait, len(r.subscribe.ids))
	var awaited map[name]bool
	if first && sub.kind == kindEndpoint && len(r.initial) > 0 {
		awaited = s.awaited()
	}
	for _, id := range r.subscribe.ids {
		sub.named = true
		if id == wildcard {
			sub.takeUnderway(now)
			sub.setWildcard(now)
			continue
		}
		p := sub.items.find(id)
		it := sub.items.of(p)
		if !it.explicit() {
			in.wait = append(in.wait, p)
		}
		// Asked for again, it is sent again: the client may have forgotten it
		// (xDS protocol, "Subscribing to Resources").
		known := first && it.held() && !awaited[id]
		sub.mark(p, it, itemExplicit, !known, now, false)
	}
	if first && !sub.wildcard {
		sub.dropUnasked() // it said that it has it, but did not ask for it
	}
	for _, id := range r.unsubscribe.ids {
		if id == wildcard {
			sub.dropWildcard()
			continue
		}
		if !sub.items.get(id).explicit() {
			continue // a phantom: nothing to end
		}
		sub.drop(id)
		in.quit = append(in.quit, id)
		if sub.wildcard {
			// The client cannot know whether the wildcard covers the name, so it
			// is told (xDS protocol, "Unsubscribing from Resources").
			sub.want(id, true, now, false)
		}
	}
}

// takeInitial notes what a client says it has from an earlier stream. What is
// there in that version is not sent again; what is gone is removed.
func (s *session) takeInitial(now time.Time, sub *subscription, r request) {
	s.expect(sub, len(r.initial))
	for n, v := range r.initial {
		id := nameOf(n)
		sub.setHeld(id, parseVersion(v))
		sub.want(id, false, now, false)
	}
	if len(r.initial) > 0 && len(sub.kind.facts().usedBy) > 0 {
		// The client's old routes use the clusters that it has, and may be
		// asked for later on this stream: nothing is taken away before.
		sub.keepUntil = now.Add(s.patience)
	}
}

// broughtAlong gives the versions that a client says it has from an earlier
// stream: it accepted them there.
func (s *subscription) broughtAlong(r request) []sentItem {
	if !s.kind.facts().tried || len(r.initial) == 0 {
		return nil
	}
	items := make([]sentItem, 0, len(r.initial))
	for n, v := range r.initial {
		items = append(items, sentItem{id: nameOf(n), version: parseVersion(v)})
	}
	return items
}

// sotwNames takes in the names of a SotW request, which are all that the client
// wants from now on.
func (s *session) sotwNames(now time.Time, sub *subscription, r request, first bool, in *interest) {
	if len(r.names.ids) > 0 {
		sub.named = true
	}
	all := !sub.named && sub.kind.facts().full
	refused, before := len(sub.rejected) > 0, sub.asked
	wanted := make(map[name]struct{}, len(r.names.ids))
	for _, id := range r.names.ids {
		if id == wildcard {
			all = true
			continue
		}
		wanted[id] = struct{}{}
	}
	ended := sub.wildcard && !all
	if ended {
		sub.dropWildcard()
	}
	for id, it := range sub.items.all() {
		if _, still := wanted[id]; !still && it.explicit() {
			sub.drop(id)
			in.quit = append(in.quit, id)
		}
	}
	if refused && (ended || sub.asked < before) && sub.kind.facts().full {
		sub.owe(now) // all that it refused may be accepted without what it gave up
	}
	if all && !sub.wildcard {
		sub.setWildcard(now)
		if first && len(wanted) == 0 && sub.kind.facts().full {
			// A version of another type says nothing of what was refused before it.
			sub.resume = r.version
		}
	}
	for id := range wanted {
		p := sub.items.find(id)
		if it := sub.items.of(p); !it.explicit() {
			in.wait = append(in.wait, p)
			sub.mark(p, it, itemExplicit, true, now, false)
		}
	}
}

func (s *subscription) setWildcard(now time.Time) {
	if s.wildcard {
		return
	}
	s.owe(now)
	s.wildcard, s.rescan = true, true
}

// takeUnderway notes that what was given up while it was on its way will be held
// after all, under the wildcard.
func (s *subscription) takeUnderway(now time.Time) {
	if s.wildcard {
		return
	}
	for _, f := range s.flights {
		for _, one := range f.items {
			switch it := s.items.get(one.id); {
			case it.explicit():
			case one.version == 0:
				s.setAbsent(one.id)
			default:
				s.setHeld(one.id, one.version)
				s.want(one.id, false, now, false)
			}
		}
	}
}

// owe makes an answer due, even if it is empty.
func (s *subscription) owe(now time.Time) {
	if !s.due() {
		s.pendingSince, s.pendingApply = now, false
	}
	s.owed = true
}

// expect makes room for n names that come at once.
func (s *session) expect(sub *subscription, n int) {
	if n <= maxFew || s.roster == nil {
		return
	}
	if r := s.roster(sub.kind); n >= len(r.names)/8 {
		sub.items.adopt(r)
	}
}
