package test

import (
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// TestNodesThatAreRefused: a proxy that cannot be served is told why by the
// status of its stream, also when its id cannot even be decoded.
func TestNodesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	connection, err := grpc.NewClient(s.xds, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	for name, c := range map[string]struct {
		id   string
		code codes.Code
		want string
	}{
		"empty":           {"", codes.InvalidArgument, "node id is empty"},
		"huge":            {strings.Repeat("n", 100_000), codes.InvalidArgument, "node id has 100000 bytes"},
		"not UTF-8":       {"web/\xff", codes.InvalidArgument, "node id is not valid UTF-8"},
		"no instance":     {"web", codes.InvalidArgument, `"<service>/<instance>"`},
		"unknown service": {"nobody/1", codes.NotFound, `service "nobody" is not declared`},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).
				DeltaAggregatedResources(t.Context(), grpc.ForceCodecV2(rawBytes{}))
			if err != nil {
				t.Fatal(err)
			}
			// DeltaDiscoveryRequest{node: Node{id}, type_url}, by hand: the id need not be a string.
			node := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(c.id))
			request := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), node)
			request = protowire.AppendString(protowire.AppendTag(request, 2, protowire.BytesType), "type.googleapis.com/envoy.config.cluster.v3.Cluster")
			if err := stream.SendMsg(request); err != nil {
				t.Fatal(err)
			}
			err = stream.RecvMsg(nil)
			if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.want) {
				t.Errorf("it ended with %v, want %s and %q", err, c.code, c.want)
			}
		})
	}
}

// rawBytes sends bytes as they are, and reads nothing.
type rawBytes struct{}

func (rawBytes) Name() string { return "proto" }

func (rawBytes) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawBytes) Unmarshal(mem.BufferSlice, any) error { return nil }
