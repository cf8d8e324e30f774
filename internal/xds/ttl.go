package xds

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A client forgets a resource with a TTL that it has heard nothing of for that
// long (xDS protocol, "TTL"). A heartbeat, which has its name and no body, keeps
// it there. Nothing waits for a heartbeat's answer. Only a stream whose client
// holds such a resource has a timer.

// What a client says that it can do with a TTL. Envoy's documentation has two
// names for the second.
const (
	featureTTL        = "xds.config.supports-resource-ttl"
	featureWrapped    = "xds.config.resource-in-sotw"
	featureWrappedToo = "xds.config.supports-resource-in-sotw"
)

// understandsTTL says whether a client can be sent TTLs. SotW has them in an
// envelope that the client has to know besides.
func understandsTTL(node *corev3.Node, delta bool) bool {
	can := func(feature string) bool { return slices.Contains(node.GetClientFeatures(), feature) }
	return can(featureTTL) && (delta || can(featureWrapped) || can(featureWrappedToo))
}

// missesHeartbeats says whether a client is one that takes heartbeats and does
// not heed them: Envoy in SotW leaves them out before it looks at TTLs (1.40,
// GrpcMuxImpl::onDiscoveryResponse). It is sent the body too, each time.
func missesHeartbeats(node *corev3.Node, delta bool) bool {
	return !delta && node.GetUserAgentName() == "envoy"
}

// beats is how many heartbeats a TTL is worth: two may be late or lost.
const beats = 3

// lease is a TTL, and the resource as clients are sent it that know what that is.
type lease struct {
	ttl         time.Duration
	delta, sotw []byte // as the field "resources" of a response
}

// NewExpiring is [NewResource] for a resource that clients forget when they have
// heard nothing of it for as long as ttl; zero: never. A client that does not
// announce that it knows TTLs keeps it. Runtime layers alone can have one: with
// anything else a proxy would lose its traffic together with its control plane.
func NewExpiring(typeURL, resourceName string, m proto.Message, o Origin, ttl time.Duration) (*Resource, error) {
	r, err := NewResource(typeURL, resourceName, m, o)
	if err != nil || ttl == 0 {
		return r, err
	}
	if !r.kind.facts().expires || ttl < 0 {
		return nil, fmt.Errorf("encode %s resource %q: it cannot have a TTL of %s", r.kind, resourceName, ttl)
	}
	body, err := r.Any()
	if err != nil {
		return nil, err
	}
	// The version tells the TTL too, so that a client is sent what has another one.
	r.version = contentVersion(r.kind, resourceName, []byte(r.Version+" for "+ttl.String()))
	r.content, r.Version = r.version, r.version.String()
	r.wire, r.sotwAt = encodeResource(typeURL, resourceName, r.Version, body.GetValue())
	wrapped := &discoveryv3.Resource{Name: resourceName, Version: r.Version, Ttl: durationpb.New(ttl), Resource: body}
	r.lease = &lease{ttl: ttl}
	if r.lease.delta, err = encodeWrapped(wrapped, true); err == nil {
		r.lease.sotw, err = encodeWrapped(wrapped, false)
	}
	return r, err
}

// encodeWrapped writes a resource in its envelope as the field "resources" of a
// response: a response that has nothing else.
func encodeWrapped(wrapped *discoveryv3.Resource, delta bool) ([]byte, error) {
	if delta {
		return proto.Marshal(&discoveryv3.DeltaDiscoveryResponse{Resources: []*discoveryv3.Resource{wrapped}})
	}
	inAny, err := anypb.New(wrapped)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{inAny}})
}

// field is a resource as this response has it.
func (r *response) field(one *Resource, delta bool) []byte {
	switch {
	case one.lease == nil || !r.ttl:
		return one.field(delta)
	case r.heartbeat && !r.bodies:
		return one.heartbeat(r.version.String(), delta)
	case delta:
		return one.lease.delta
	}
	return one.lease.sotw
}

// heartbeat has no body. In SotW it says the version of the last response, which
// is what Envoy compares it with.
func (r *Resource) heartbeat(ofAll string, delta bool) []byte {
	wrapped := &discoveryv3.Resource{Name: r.Name, Version: r.Version, Ttl: durationpb.New(r.lease.ttl)}
	if !delta {
		wrapped.Version = ofAll
	}
	wire, err := encodeWrapped(wrapped, delta)
	if err != nil {
		panic("xds: a heartbeat cannot be encoded, although its resource was: " + err.Error())
	}
	return wire
}

// respond is next with heartbeats, for when nothing else is due.
func (s *session) respond(now time.Time, v view) (*response, time.Time) {
	r, look := s.next(now, v)
	for k := range kindCount {
		if r != nil {
			break
		}
		if sub := s.subs[k]; s.ttl && sub != nil && k.facts().expires {
			var beat time.Time
			r, beat = s.refresh(now, sub, v)
			look = sooner(look, beat)
		}
	}
	if r != nil {
		r.ttl = s.ttl
		s.subs[r.kind].refreshed(now, r)
	}
	return r, look
}

// refresh composes a heartbeat of one type, and says when the next one is due.
// What the client may have forgotten already it is sent again as a whole.
func (s *session) refresh(now time.Time, sub *subscription, v view) (r *response, look time.Time) {
	var alive []*Resource
	var late []name
	for id, it := range sub.items.all() {
		one := s.lookup(sub.kind, id, v)
		if one == nil || one.lease == nil || !it.held() || it.version() != one.version || sub.refuses(id, v) {
			delete(sub.leases, id)
			continue
		}
		last, known := sub.leases[id]
		switch beat := one.lease.ttl / beats; {
		case known && now.Before(last.Add(beat)):
			look = sooner(look, last.Add(beat))
		case known && !now.Before(last.Add(2*beat)):
			late = append(late, id)
		default: // not known: the client came with it from an earlier stream
			alive = append(alive, one)
		}
	}
	if len(late) > 0 {
		for _, id := range late {
			sub.want(id, true, now, false)
		}
		return s.next(now, v)
	}
	if len(alive) == 0 {
		return nil, look
	}
	slices.SortFunc(alive, func(a, b *Resource) int { return strings.Compare(a.Name, b.Name) })
	s.nonce++
	sub.nonce, sub.heartbeat = s.nonce, s.nonce
	return &response{kind: sub.kind, version: sub.sent, nonce: formatNonce(s.nonce), resources: alive, heartbeat: true, bodies: s.bodies}, time.Time{}
}

// refreshed notes when the client was last told of what has a TTL.
func (s *subscription) refreshed(now time.Time, r *response) {
	if !s.kind.facts().expires || !r.ttl {
		return
	}
	for _, one := range r.resources {
		if one.lease == nil {
			continue
		}
		if s.leases == nil {
			s.leases = map[name]time.Time{}
		}
		s.leases[one.id] = now
	}
}

// missed takes in that a client refused a heartbeat: it came too late, and what
// it was of is sent again.
func (s *subscription) missed(now time.Time) {
	s.heartbeat = 0
	for id := range s.leases {
		if _, refused := s.rejected[id]; !refused {
			s.want(id, true, now, false)
		}
	}
}
