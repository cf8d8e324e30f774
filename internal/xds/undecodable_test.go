package xds_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

var _ encoding.CodecV2 = rawCodec{}

// A request that cannot be decoded is the client's fault, and it is told what
// is wrong with it; gRPC by itself calls that an internal error.
func TestUndecodableRequest(t *testing.T) {
	field := func(number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	for name, c := range map[string]struct {
		node []byte // DiscoveryRequest.node is field 2, DeltaDiscoveryRequest's is 1
		want string
	}{
		"node id not UTF-8": {field(1, []byte("web/\xff\xfe")), "the node id is not valid UTF-8"},
		"cluster not UTF-8": {field(2, []byte("\xff")), "cannot be decoded: string field contains invalid UTF-8"},
		"cut off":           {[]byte{0x0a, 0x20, 'w'}, "cannot be decoded"},
	} {
		for transport, number := range map[string]protowire.Number{"ads-sotw": 2, "ads-delta": 1, "cds-delta": 1} {
			t.Run(name+"/"+transport, func(t *testing.T) {
				r := newRigWith(t, xds.Config{}, xds.ServerOptions(), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
				one := r.connect(transport, "-")
				defer one.cancel()
				if err := one.stream.SendMsg(field(number, c.node)); err != nil {
					t.Fatal(err)
				}
				end := one.waitForEnd(t)
				if !strings.HasPrefix(end, "ended: InvalidArgument: ") || !strings.Contains(end, c.want) {
					t.Error(end)
				}
			})
		}
	}
}
