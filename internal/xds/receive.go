package xds

import (
	"slices"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// receive reads one request.
func (st *stream) receive() (request, *corev3.Node, error) {
	if st.delta {
		r := &discoveryv3.DeltaDiscoveryRequest{}
		in, err := st.receiveInto(r, fieldDeltaNode)
		if err != nil {
			return request{}, nil, err
		}
		return deltaRequest(r, in.subscribe), r.GetNode(), nil
	}
	r := &discoveryv3.DiscoveryRequest{}
	if _, err := st.receiveInto(r, fieldNode); err != nil {
		return request{}, nil, err
	}
	return sotwRequest(r), r.GetNode(), nil
}

func (st *stream) receiveInto(m proto.Message, node protowire.Number) (*incoming, error) {
	in := &incoming{Message: m, node: node, lists: &st.server.lists}
	if err := st.grpc.RecvMsg(in); err != nil {
		return nil, err
	}
	return in, in.fault
}

// incoming is a request that may be faulty. gRPC would end the stream of one
// that cannot be decoded as an internal error of the server, so [codec] puts
// the fault here instead. With another codec it is only a message.
type incoming struct {
	proto.Message
	node  protowire.Number // the field that says who the client is
	fault error            // a gRPC status

	lists     *nameLists
	subscribe *nameList // delta: a list that was taken out of the message; nil: none
}

func (in *incoming) decode(data mem.BufferSlice) {
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	raw := whole.ReadOnlyData()
	switch err := in.unmarshal(raw); {
	case err == nil:
	case !utf8.Valid(nodeID(raw, in.node)):
		in.fault = status.Error(codes.InvalidArgument, "the node id is not valid UTF-8")
	default:
		in.fault = status.Errorf(codes.InvalidArgument, "the request cannot be decoded: %v", err)
	}
}

// unmarshal reads a request. A long list of names that was read before is not read
// again.
func (in *incoming) unmarshal(raw []byte) error {
	if _, delta := in.Message.(*discoveryv3.DeltaDiscoveryRequest); !delta {
		return proto.Unmarshal(raw, in.Message)
	}
	from, to := runOf(raw, fieldSubscribe)
	if from == to {
		return proto.Unmarshal(raw, in.Message)
	}
	run := raw[from:to]
	in.subscribe = in.lists.find(run)
	if in.subscribe == nil {
		var list discoveryv3.DeltaDiscoveryRequest
		if err := proto.Unmarshal(run, &list); err != nil {
			return err
		}
		in.subscribe = in.lists.keep(run, nameListOf(list.GetResourceNamesSubscribe()))
	}
	return proto.Unmarshal(slices.Concat(raw[:from], raw[to:]), in.Message)
}

// nodeID finds the node's id in a request that cannot be decoded.
func nodeID(request []byte, node protowire.Number) []byte {
	return field(field(request, node), fieldNodeID)
}

// field gives the value of a field of bytes, or nil.
func field(message []byte, wanted protowire.Number) []byte {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if number == wanted && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			return value
		}
		if n = protowire.ConsumeFieldValue(number, typ, message); n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}
