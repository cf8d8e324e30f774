package xds

import (
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The numbers of the fields that are written or looked for by hand; TestWire and
// TestUndecodableRequest prove that the generated types have them.
const (
	fieldVersion   protowire.Number = 1 // version_info, system_version_info
	fieldResources protowire.Number = 2 // in both responses
	fieldTypeURL   protowire.Number = 4 // in both responses
	fieldNonce     protowire.Number = 5 // in both responses
	fieldRemoved   protowire.Number = 6 // DeltaDiscoveryResponse.removed_resources

	fieldResourceVersion protowire.Number = 1 // Resource.version
	fieldResourceBody    protowire.Number = 2 // Resource.resource
	fieldResourceName    protowire.Number = 3 // Resource.name

	fieldNode      protowire.Number = 2 // DiscoveryRequest.node
	fieldDeltaNode protowire.Number = 1 // DeltaDiscoveryRequest.node
	fieldNodeID    protowire.Number = 1 // Node.id
	fieldSubscribe protowire.Number = 3 // DeltaDiscoveryRequest.resource_names_subscribe

	fieldAnyURL   protowire.Number = 1
	fieldAnyValue protowire.Number = 2
)

// encodeResource writes a resource once for both variants. "resources" of both
// responses and "resource" inside a delta Resource happen to be field 2, and
// fields may come in any order, so when the body comes last the SotW field is
// the tail of the delta field: one slice of bytes serves every stream.
func encodeResource(typeURL, resourceName, version string, body []byte) (wire []byte, sotwAt int) {
	sizeAny := sizeField(fieldAnyURL, len(typeURL)) + sizeField(fieldAnyValue, len(body))
	sizeResource := sizeField(fieldResourceName, len(resourceName)) +
		sizeField(fieldResourceVersion, len(version)) + sizeField(fieldResourceBody, sizeAny)

	wire = make([]byte, 0, sizeField(fieldResources, sizeResource))
	wire = protowire.AppendTag(wire, fieldResources, protowire.BytesType)
	wire = protowire.AppendVarint(wire, uint64(sizeResource))
	wire = appendString(wire, fieldResourceName, resourceName)
	wire = appendString(wire, fieldResourceVersion, version)
	sotwAt = len(wire)
	wire = protowire.AppendTag(wire, fieldResourceBody, protowire.BytesType)
	wire = protowire.AppendVarint(wire, uint64(sizeAny))
	wire = appendString(wire, fieldAnyURL, typeURL)
	wire = protowire.AppendTag(wire, fieldAnyValue, protowire.BytesType)
	wire = protowire.AppendBytes(wire, body)
	return wire, sotwAt
}

func sizeField(number protowire.Number, length int) int {
	return protowire.SizeTag(number) + protowire.SizeBytes(length)
}

func appendString(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// frame is an encoded response: a few bytes of its own and the shared bytes of
// its resources. [ServerOptions] has it sent as it is. With another codec it is
// still right, only slower: it then decodes itself into the generated message.
type frame struct {
	delta   bool
	buffers mem.BufferSlice
}

// encodeFrame puts a response together. Nothing of a few resources is copied;
// many are joined, once for all streams that are sent the same.
func encodeFrame(r *response, delta bool) *frame {
	own := make([]byte, 0, 160)
	own = appendString(own, fieldVersion, r.version.String())
	own = appendString(own, fieldTypeURL, r.kind.facts().url)
	own = appendString(own, fieldNonce, r.nonce)
	if delta {
		for _, n := range r.removed {
			own = appendString(own, fieldRemoved, n.Value())
		}
	}
	if r.alike != nil {
		return &frame{delta: delta, buffers: mem.BufferSlice{mem.SliceBuffer(own), mem.SliceBuffer(r.alike.bytes(delta))}}
	}
	buffers := make(mem.BufferSlice, 0, 1+len(r.resources))
	buffers = append(buffers, mem.SliceBuffer(own))
	for _, resource := range r.resources {
		buffers = append(buffers, mem.SliceBuffer(r.field(resource, delta)))
	}
	return &frame{delta: delta, buffers: buffers}
}

// ProtoReflect makes the frame a message for codecs and interceptors that know
// nothing of it.
func (f *frame) ProtoReflect() protoreflect.Message {
	var m proto.Message = &discoveryv3.DiscoveryResponse{}
	if f.delta {
		m = &discoveryv3.DeltaDiscoveryResponse{}
	}
	if err := proto.Unmarshal(f.buffers.Materialize(), m); err != nil {
		panic("xds: a response that this package wrote cannot be read: " + err.Error())
	}
	return m.ProtoReflect()
}

// wireMessage is a message of another service that reads itself.
type wireMessage interface {
	UnmarshalWire(data mem.BufferSlice) error
}

// codec sends frames as they are, keeps the faults of requests, and leaves all
// else to gRPC's own codec.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return f.buffers, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if in, ok := v.(*incoming); ok {
		in.decode(data)
		return nil
	}
	if own, ok := v.(wireMessage); ok {
		return own.UnmarshalWire(data)
	}
	return c.CodecV2.Unmarshal(data, v)
}

// ServerOptions are the options that a gRPC server should have to serve this
// package as it should be: responses leave without being encoded for each
// stream, a request that cannot be decoded is refused as the client's fault, and
// a connection is cheap. Most of them are quiet most of the time and receive
// little, so the buffer for it is small and the window fixed: gRPC would
// otherwise measure the connection by a ping for each acknowledgement.
func ServerOptions() []grpc.ServerOption {
	const window = 256 << 10 // bytes that a client may send ahead; a request for 1,000 names has about 20,000
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(protocodec.Name)}),
		grpc.ReadBufferSize(4 << 10),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
	}
}
