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
	nackSince  time.Time  // when the oldest change in it happened; zero: it was not caused by an update
	accepted   []sentItem // versions that the client took, or came with
	refused    []sentItem // versions that it blamed
	passedOver []sentItem // what else was in a refused response that held everything
}

// ack is one acknowledged response.
type ack struct {
	kind    kind
	applied bool          // it was caused by an update
	since   time.Time     // when the oldest change in it happened
	took    time.Duration // since then
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
		if f.applied {
			out.nackSince = f.since
		}
		return fresh
	}
	s.acked(now, sub, f)
	out.accepted = f.taken()
	out.ack = &ack{kind: sub.kind, applied: f.applied, since: f.since, took: now.Sub(f.since)}
	return fresh
}
