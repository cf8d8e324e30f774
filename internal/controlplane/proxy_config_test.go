package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/xds"
)

type oneScope struct{}

func (oneScope) Open(context.Context, *corev3.Node) (string, func(), error) { return "web", nil, nil }

// fed is an xDS server with one proxy, web/1, which takes clusters and secrets and
// refuses what is called bad.
func fed(t *testing.T) *xds.Server {
	t.Helper()
	server := xds.NewServer(xds.Config{Scopes: oneScope{}})
	g := grpc.NewServer(xds.ServerOptions()...)
	server.Register(g)
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
			if strings.Contains(r.String(), "bad") {
				answer.ErrorDetail = &rpcstatus.Status{Code: 3, Message: "c-050: it is bad"}
			}
			if stream.Send(answer) != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-answered
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = server.Shutdown(context.Background())
	})
	for _, one := range []*discoveryv3.DeltaDiscoveryRequest{
		{Node: &corev3.Node{Id: "web/1"}, TypeUrl: xds.TypeCluster},
		{TypeUrl: xds.TypeSecret, ResourceNamesSubscribe: []string{"key", "missing"}},
	} {
		if err := stream.Send(one); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

func encoded(t *testing.T, typeURL, name string, m proto.Message, revision int64) *xds.Resource {
	t.Helper()
	r, err := xds.NewResource(typeURL, name, m, xds.Origin{Object: "service/orders", Author: "ann", Revision: revision})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProxyConfig(t *testing.T) {
	server := fed(t)
	var all []*xds.Resource
	for i := range 120 {
		name := fmt.Sprintf("c-%03d", i)
		all = append(all, encoded(t, xds.TypeCluster, name, &clusterv3.Cluster{Name: name, AltStatName: "good"}, 7))
	}
	all = append(all, encoded(t, xds.TypeSecret, "key", &tlsv3.Secret{Name: "key", Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
		Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "nobody is to read this"}}}}}, 7))
	var keys []xds.Key
	for _, r := range all {
		keys = append(keys, xds.Key{Type: r.Type, Name: r.Name})
	}
	server.Apply(xds.Update{Put: all, Scopes: map[string][]xds.Key{"web": keys}})
	ask := func(q mesh.ProxyQuery) mesh.ProxyConfig {
		t.Helper()
		q.Node = "web/1"
		got, err := controlplane.ProxyConfig(server, q)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	until := func(what string, q mesh.ProxyQuery, holds func(mesh.ProxyConfig) bool) mesh.ProxyConfig {
		t.Helper()
		end := time.NewTimer(10 * time.Second)
		defer end.Stop()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			got, err := controlplane.ProxyConfig(server, mesh.ProxyQuery{Node: "web/1", Type: q.Type, Name: q.Name, Differ: q.Differ, Content: q.Content, Limit: 1000})
			if err == nil && holds(got) {
				return got
			}
			select {
			case <-tick.C:
			case <-end.C:
				t.Fatalf("%s: %+v %v", what, got, err)
			}
		}
	}
	got := until("it has all", mesh.ProxyQuery{Content: true}, func(c mesh.ProxyConfig) bool {
		return c.Total == 122 && c.Resources[0].State == mesh.ResourceSynced && c.Resources[120].State == mesh.ResourceSynced
	})
	if text := string(got.Resources[120].Config); strings.Contains(text, "nobody") || !strings.Contains(text, "[redacted]") {
		t.Errorf("the secret is shown as %s", text)
	}
	if missing := got.Resources[121]; missing.State != mesh.ResourceAbsent || missing.Reason == "" || missing.Name != "missing" {
		t.Errorf("what is missing: %+v", missing)
	}
	first := got.Resources[0]
	if want := `{"name":"c-000","alt_stat_name":"good"}`; string(first.Config) != want || first.Holds != nil || first.Held == "" || first.Held != first.Newest ||
		first.Origin == nil || *first.Origin != (mesh.Origin{Object: "service/orders", Author: "ann", Revision: 7}) {
		t.Errorf("%+v %s", first, first.Config)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}

	// Pages follow each other without a gap.
	var names []string
	q := mesh.ProxyQuery{Limit: 50}
	for rounds := 0; ; rounds++ {
		page := ask(q)
		for _, r := range page.Resources {
			names = append(names, r.Name)
		}
		if q.After = page.Next; q.After == "" || rounds > 5 {
			break
		}
	}
	if len(names) != 122 || names[50] != "c-050" || names[121] != "missing" {
		t.Errorf("%d by pages: %v", len(names), names)
	}
	if page := ask(mesh.ProxyQuery{Type: xds.TypeCluster, Name: "-11", Limit: 5}); page.Total != 10 || page.Next != "clusters/c-114" || len(page.Resources[0].Config) != 0 {
		t.Errorf("%+v", page)
	}

	// What it refuses is told, with the difference to what it goes on with.
	bad := encoded(t, xds.TypeCluster, "c-050", &clusterv3.Cluster{Name: "c-050", AltStatName: "bad"}, 8)
	server.Apply(xds.Update{Put: []*xds.Resource{bad}})
	got = until("it is refused", mesh.ProxyQuery{Differ: true}, func(c mesh.ProxyConfig) bool {
		return c.Total == 1 && c.Resources[0].State == mesh.ResourceRefused
	})
	one := got.Resources[0]
	if one.Refusal == nil || one.Refusal.Node != "web/1" || one.Refusal.Message != "c-050: it is bad" || one.Refusal.Version != bad.Version || one.Origin.Revision != 8 ||
		one.Held != one.Current || one.Held == one.Newest || one.Reason != "a proxy refused the newest version: what it had stays in force" {
		t.Errorf("%+v %+v", one, one.Refusal)
	}
	if want := "-  \"alt_stat_name\": \"good\"\n+  \"alt_stat_name\": \"bad\"\n"; !strings.Contains(one.Diff, want) {
		t.Errorf("the difference is\n%s", one.Diff)
	}
	if _, err := controlplane.ProxyConfig(server, mesh.ProxyQuery{Node: "web/2"}); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("one who is not there: %v", err)
	}
}
