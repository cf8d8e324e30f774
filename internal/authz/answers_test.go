package authz

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

func TestAllowedIsWhatProtoEncodes(t *testing.T) {
	for _, length := range []int{0, 1, 50, 70, 100, 120, 127, 128, 800, 16_000, 17_000} {
		token := strings.Repeat("t", length)
		want := &authv3.CheckResponse{
			Status: &rpcstatus.Status{},
			HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
				Headers: []*corev3.HeaderValueOption{header(TokenHeader, token)},
			}},
		}
		data := allowed(token).buffers.Materialize()
		got := &authv3.CheckResponse{}
		if err := proto.Unmarshal(data, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("a token of %d bytes: %v\n%v", length, err, got)
		}
	}
}
