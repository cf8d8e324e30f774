package test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// TestThousandProxiesGoOverWithoutAResource: proxies that have everything from
// one control plane go over to another one when the first stops. They say what
// they have, and are sent no byte of a resource and no removal; and then they are
// sent what changes.
func TestThousandProxiesGoOverWithoutAResource(t *testing.T) {
	t.Parallel()
	const proxies, callers, called = 1000, 10, 5
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	first := startServer(t, "--etcd-endpoints", etcd.Endpoint())
	second := startServer(t, "--etcd-endpoints", etcd.Endpoint())
	var calls []mesh.ServiceName
	for i := range called {
		name := fmt.Sprintf("called-%d", i)
		first.declare(service(name, mesh.HTTP))
		first.register(name, "a", "127.0.0.1:9000")
		calls = append(calls, mesh.ServiceName(name))
	}
	for i := range callers {
		first.declare(service(fmt.Sprintf("caller-%d", i), mesh.HTTP, calls...))
	}

	var fleet []*lightProxy
	for i := range proxies {
		name := fmt.Sprintf("caller-%d", i%callers)
		one := &lightProxy{node: fmt.Sprintf("%s/%d", name, i), routes: "outbound." + name, held: map[string]map[string]string{}}
		for _, dependency := range calls {
			one.endpoints = append(one.endpoints, string(dependency))
		}
		fleet = append(fleet, one)
	}
	connectAll(t, fleet, first.xds)
	all := func(what string, ok func(*lightProxy) bool) {
		t.Helper()
		heddletest.Eventually(t, what, func() error {
			if i := slices.IndexFunc(fleet, func(one *lightProxy) bool { return !ok(one) }); i >= 0 {
				return fmt.Errorf("%s does not: %s", fleet[i].node, fleet[i].says())
			}
			return nil
		})
	}
	all("every proxy to have everything", (*lightProxy).complete)

	first.End()
	all("every proxy to have lost its stream", func(one *lightProxy) bool { return !one.connected.Load() })
	for _, one := range fleet {
		one.resources.Store(0)
		one.wildcards.Store(0)
	}
	connectAll(t, fleet, second.xds)
	all("every proxy to be answered for clusters and listeners", func(one *lightProxy) bool { return one.wildcards.Load() >= 2 })
	waitUntil(time.Now().Add(3 * time.Second)) // longer than the server holds anything back
	sent := 0
	for _, one := range fleet {
		if n := one.resources.Load(); n > 0 {
			t.Logf("%s was sent %d resources or removals that it had: %s", one.node, n, one.says())
			sent++
		}
	}
	if sent > 0 {
		t.Errorf("%d of %d proxies were sent resources, want none", sent, proxies)
	}

	second.client = second.newClient(first.token)
	second.register(string(calls[0]), "b", "127.0.0.1:9001")
	all("every proxy to be sent the one change", func(one *lightProxy) bool { return one.resources.Load() >= 1 })
	for _, one := range fleet {
		if n := one.resources.Load(); n != 1 && sent == 0 {
			t.Errorf("%s was sent %d resources for one change", one.node, n)
		}
	}
}

// lightProxy is a delta ADS client that keeps the versions of what it is sent.
type lightProxy struct {
	node      string
	endpoints []string
	routes    string

	connected atomic.Bool
	resources atomic.Int64 // sent or removed since this was last set to 0
	wildcards atomic.Int64 // answers for types that are subscribed to as a whole

	mu   sync.Mutex
	held map[string]map[string]string // guarded by mu: versions by type URL and name
}

// connectAll opens a stream for each on a connection of its own.
func connectAll(t *testing.T, fleet []*lightProxy, address string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, one := range fleet {
		connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10), grpc.WithNoProxy(), grpc.WithDisableServiceConfig())
		if err != nil {
			t.Fatal(err)
		}
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx, grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		one.connected.Store(true)
		running.Go(func() {
			defer connection.Close()
			defer one.connected.Store(false)
			one.run(stream)
		})
	}
}

// run asks for everything, as an Envoy that comes back does, and acknowledges
// what it is sent until the stream ends.
func (p *lightProxy) run(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) {
	node := &corev3.Node{Id: p.node}
	for _, r := range []*discoveryv3.DeltaDiscoveryRequest{
		{TypeUrl: xds.TypeRuntime, ResourceNamesSubscribe: []string{"heddle"}},
		{TypeUrl: xds.TypeCluster},
		{TypeUrl: xds.TypeEndpoint, ResourceNamesSubscribe: p.endpoints},
		{TypeUrl: xds.TypeListener},
		{TypeUrl: xds.TypeRoute, ResourceNamesSubscribe: []string{p.routes}},
	} {
		r.Node, node = node, nil
		r.InitialResourceVersions = p.versions(r.GetTypeUrl())
		if stream.Send(r) != nil {
			return
		}
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return
		}
		p.take(r)
		if stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}) != nil {
			return
		}
	}
}

func (p *lightProxy) take(r *discoveryv3.DeltaDiscoveryResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held[r.GetTypeUrl()]
	if held == nil {
		held = map[string]string{}
		p.held[r.GetTypeUrl()] = held
	}
	for _, one := range r.GetResources() {
		held[one.GetName()] = one.GetVersion()
	}
	for _, name := range r.GetRemovedResources() {
		delete(held, name)
	}
	p.resources.Add(int64(len(r.GetResources()) + len(r.GetRemovedResources())))
	if r.GetTypeUrl() == xds.TypeCluster || r.GetTypeUrl() == xds.TypeListener {
		p.wildcards.Add(1)
	}
}

func (p *lightProxy) versions(typeURL string) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	versions := map[string]string{}
	for name, version := range p.held[typeURL] {
		versions[name] = version
	}
	return versions
}

// complete says whether it has what its service declared, as far as its server
// has sent it.
func (p *lightProxy) complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range p.endpoints {
		if p.held[xds.TypeEndpoint][name] == "" || p.held[xds.TypeCluster][name] == "" {
			return false
		}
	}
	return p.held[xds.TypeRoute][p.routes] != "" && len(p.held[xds.TypeListener]) > 0 && p.held[xds.TypeRuntime]["heddle"] != ""
}

func (p *lightProxy) says() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprint(p.held)
}
