package translate

import (
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// pack puts a message into an Any, always with the same bytes.
func pack(m proto.Message) *anypb.Any {
	out := &anypb.Any{}
	if err := anypb.MarshalFrom(out, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		// Only text that is not UTF-8 can do this. Validation keeps it out, and an
		// empty message is refused by Envoy alone, without harm to others.
		return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())}
	}
	return out
}

func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

func socket(address string, port mesh.Port) *corev3.Address {
	parts := &struct { // one piece of memory: a service has thousands of addresses
		address corev3.Address
		kind    corev3.Address_SocketAddress
		socket  corev3.SocketAddress
		port    corev3.SocketAddress_PortValue
	}{}
	parts.port.PortValue = uint32(port)
	parts.socket.Address, parts.socket.PortSpecifier = canonical(address), &parts.port
	parts.kind.SocketAddress = &parts.socket
	parts.address.Address = &parts.kind
	return &parts.address
}

// canonical writes an IP address in its one short form; an IPv4 address in
// IPv6 clothes becomes the IPv4 address. A host name stays as it is.
func canonical(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	var space [64]byte
	if short := ip.Unmap().AppendTo(space[:0]); string(short) != address {
		return string(short)
	}
	return address
}

// or gives d, or standard when d is not set.
func or(d mesh.Duration, standard time.Duration) *durationpb.Duration {
	if d == 0 {
		return durationpb.New(standard)
	}
	return durationpb.New(d.Std())
}

// optional gives nil for a duration that is not set.
func optional(d mesh.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d.Std())
}

// count gives nil for a number that is not set.
func count(n int) *wrapperspb.UInt32Value {
	if n <= 0 {
		return nil
	}
	return wrapperspb.UInt32(uint32(n))
}

// countOr gives n, or standard when n is not set.
func countOr(n int, standard uint32) *wrapperspb.UInt32Value {
	if n <= 0 {
		return wrapperspb.UInt32(standard)
	}
	return wrapperspb.UInt32(uint32(n))
}
