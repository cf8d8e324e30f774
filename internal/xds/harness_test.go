package xds_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// scopes opens for each node the scope named after what stands before the
// slash in its id.
type scopes struct{}

func (scopes) Open(_ context.Context, node *corev3.Node) (string, func(), error) {
	scope, _, _ := strings.Cut(node.GetId(), "/")
	if scope == "stranger" {
		return "", nil, status.Error(codes.NotFound, `service "stranger" is not declared`)
	}
	return scope, func() {}, nil
}

// failer is what a test and a rapid property have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// rig is a server with real gRPC in memory.
type rig struct {
	t      testing.TB
	server *xds.Server
	conn   *grpc.ClientConn
	dial   func() *grpc.ClientConn // a connection of its own, closed by the caller
	stop   func()                  // ends the gRPC server at once
	close  func()                  // called at the end of the test at the latest
}

func newRig(t testing.TB, c xds.Config) *rig { return newRigWith(t, c, xds.ServerOptions()) }

func newRigWith(t testing.TB, c xds.Config, options []grpc.ServerOption, dial ...grpc.DialOption) *rig {
	t.Helper()
	if c.Scopes == nil {
		c.Scopes = scopes{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	server := xds.NewServer(c)
	g := grpc.NewServer(options...)
	server.Register(g)
	listener := bufconn.Listen(1 << 20)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	dial = append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	newConn := func() *grpc.ClientConn {
		conn, err := grpc.NewClient("passthrough:///bufconn", dial...)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	conn := newConn()
	r := &rig{t: t, server: server, conn: conn, dial: newConn, stop: g.Stop}
	r.close = sync.OnceFunc(func() {
		_ = conn.Close()
		g.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	t.Cleanup(r.close)
	return r
}

// message makes a small message of a type; equal content gives equal bytes.
func message(typeURL, name, content string) proto.Message {
	switch typeURL {
	case xds.TypeCluster:
		if strings.HasPrefix(content, "eds") {
			return &clusterv3.Cluster{Name: name, AltStatName: content,
				ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
				EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
					ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}}}
		}
		return &clusterv3.Cluster{Name: name, AltStatName: content}
	case xds.TypeEndpoint:
		return &endpointv3.ClusterLoadAssignment{ClusterName: name, NamedEndpoints: map[string]*endpointv3.Endpoint{content: {}}}
	case xds.TypeListener:
		return &listenerv3.Listener{Name: name, StatPrefix: content}
	case xds.TypeRoute:
		// The names of clusters are fields of their own: "to-one", "one,two".
		words := strings.FieldsFunc(content, func(c rune) bool { return c == '-' || c == ',' })
		return &routev3.RouteConfiguration{Name: name, InternalOnlyHeaders: append([]string{content}, words...)}
	case xds.TypeExtension:
		return &corev3.TypedExtensionConfig{Name: name, TypedConfig: &anypb.Any{TypeUrl: "type.example/" + content}}
	case xds.TypeSecret:
		return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: content}}}}}
	default:
		return &runtimev3.Runtime{Name: name, Layer: &structpb.Struct{Fields: map[string]*structpb.Value{content: structpb.NewBoolValue(true)}}}
	}
}

func resource(t failer, typeURL, name, content string) *xds.Resource {
	t.Helper()
	r, err := xds.NewResource(typeURL, name, message(typeURL, name, content), xds.Origin{Object: "service/" + name, Author: "ann", Revision: 7})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expiring(t failer, typeURL, name, content string, ttl time.Duration) *xds.Resource {
	t.Helper()
	r, err := xds.NewExpiring(typeURL, name, message(typeURL, name, content), xds.Origin{Object: "runtime", Author: "ann", Revision: 7}, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func keys(resources ...*xds.Resource) []xds.Key {
	out := make([]xds.Key, 0, len(resources))
	for _, r := range resources {
		out = append(out, xds.Key{Type: r.Type, Name: r.Name})
	}
	return out
}

func node(id string) *corev3.Node { return &corev3.Node{Id: id} }

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-tick.C
	}
}
