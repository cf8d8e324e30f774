package xds_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// cutter ends a stream in the place of the next response with endpoints, once
// it is armed: when the client has already taken the clusters before it.
type cutter struct{ armed atomic.Bool }

func (c *cutter) intercept(srv any, g grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, cutStream{g, c})
}

type cutStream struct {
	grpc.ServerStream
	cutter *cutter
}

func (s cutStream) SendMsg(m any) error {
	response := &discoveryv3.DeltaDiscoveryResponse{}
	proto.Merge(response, m.(proto.Message).ProtoReflect().Interface())
	if response.GetTypeUrl() == xds.TypeEndpoint && s.cutter.armed.Load() {
		// What was sent before has to arrive, and its acknowledgement to leave.
		<-time.After(100 * time.Millisecond)
		s.cutter.armed.Store(false)
		return status.Error(codes.Unavailable, "the connection breaks here")
	}
	return s.ServerStream.SendMsg(m)
}

// Envoy took a changed cluster, and the connection broke before the endpoints
// that have to follow it. On the next stream it says that it has both, as they
// are; it is sent the endpoints all the same, for it still waits for them.
func TestEnvoyLostEndpoints(t *testing.T) {
	envoytest.Path(t)
	first := backend(t, "first")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cut := &cutter{}
	server, stop := serveTCP(t, listener, grpc.StreamInterceptor(cut.intercept))
	defer stop()
	w := &envoyWorld{t: t, members: map[xds.Key]*xds.Resource{}}
	server.Apply(w.update(nil, edsCluster("one", time.Second), endpoints("one", first), httpListener(t), routes("one")))
	envoy := envoytest.Start(t, envoyBootstrap(t, "DELTA_GRPC", listener.Addr().String()))
	load := startLoad(t, envoy.Listener(t, "out"))
	load.expect("first")

	cut.armed.Store(true)
	server.Apply(w.update(nil, edsCluster("one", 2*time.Second)))
	eventually(t, "the connection has broken", func() bool { return !cut.armed.Load() })
	eventually(t, "the changed cluster is in use", func() bool {
		return strings.Contains(envoy.Get(t, "/config_dump?resource=dynamic_active_clusters"), `"connect_timeout": "2s"`)
	})
	load.stop()
}
