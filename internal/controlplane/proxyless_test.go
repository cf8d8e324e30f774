package controlplane_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// proxylessMesh is a control plane that serves xDS on a port, and a catalog to
// put objects into: web calls orders and billing, and not secret.
type proxylessMesh struct {
	catalog  *catalog.Catalog
	plane    *controlplane.ControlPlane
	server   *xds.Server
	address  string
	revision int64
}

// applier is a function in the place of the xDS server, for what translation
// never gives it.
type applier func(xds.Update)

func (a applier) Apply(u xds.Update) { a(u) }

// startProxyless has change alter each transaction on its way; nil: none is.
func startProxyless(t *testing.T, change func(*xds.Update)) *proxylessMesh {
	t.Helper()
	m := &proxylessMesh{catalog: catalog.New(catalog.Config{})}
	m.plane = controlplane.New(controlplane.Config{Catalog: m.catalog})
	m.server = xds.NewServer(xds.Config{Scopes: m.plane})
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() {
		ran <- m.plane.Run(ctx, applier(func(u xds.Update) {
			if change != nil {
				change(&u)
			}
			m.server.Apply(u)
		}))
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.address = listener.Addr().String()
	g := grpc.NewServer(xds.ServerOptions()...)
	m.server.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		cancel()
		for _, done := range []chan error{ran, served} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := m.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	m.apply(grpcService("web", "orders", "billing"), grpcService("orders"), declared("billing"), grpcService("secret"))
	return m
}

func (m *proxylessMesh) apply(changes ...mesh.Change) {
	m.revision++
	m.catalog.Apply(m.revision, true, changes)
}

// bootstrap is what "heddle bootstrap --proxyless" prints.
func (m *proxylessMesh) bootstrap(t *testing.T) []byte {
	t.Helper()
	data, err := proxy.ProxylessBootstrap(proxy.ProxylessConfig{Service: "web", Instance: "web-1", XDS: []string{m.address}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// dial gives a way to make clients of xDS targets, which are gRPC's own.
func (m *proxylessMesh) dial(t *testing.T) func(target string) *proxylessClient {
	t.Helper()
	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(m.bootstrap(t))
	if err != nil {
		t.Fatal(err)
	}
	return func(target string) *proxylessClient {
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(resolver))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &proxylessClient{mesh: m, health: healthv1.NewHealthClient(conn)}
	}
}

// nacks are what clients refused.
func (m *proxylessMesh) nacks() []string {
	var found []string
	for _, one := range m.server.Status() {
		for _, typ := range one.Types {
			if typ.LastNack != nil {
				found = append(found, fmt.Sprintf("%s refused %s: %s", one.Node, typ.Type, typ.LastNack.Message))
			}
		}
	}
	return found
}

type proxylessClient struct {
	mesh   *proxylessMesh
	health healthv1.HealthClient
}

// reached says which instances ten calls reach; none may fail.
func (c *proxylessClient) reached(t *testing.T) map[int]bool {
	t.Helper()
	ports := map[int]bool{}
	for range 10 {
		call, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		var to peer.Peer
		_, err := c.health.Check(call, &healthv1.HealthCheckRequest{}, grpc.Peer(&to), grpc.WaitForReady(true))
		cancel()
		if err != nil {
			t.Fatalf("a call failed: %v; streams: %+v", err, c.mesh.server.Status())
		}
		ports[to.Addr.(*net.TCPAddr).Port] = true
	}
	return ports
}

// call makes one call, which does not wait for the service to be there.
func (c *proxylessClient) call(t *testing.T, timeout time.Duration) error {
	t.Helper()
	call, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	_, err := c.health.Check(call, &healthv1.HealthCheckRequest{})
	return err
}

// until waits for calls to reach these instances and no others.
func (c *proxylessClient) until(t *testing.T, want ...int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for got := c.reached(t); ; got = c.reached(t) {
		if fmt.Sprint(got) == fmt.Sprint(setOf(want)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("calls reach %v, want %v", got, want)
		}
	}
}

func grpcService(name string, dependencies ...mesh.ServiceName) mesh.Change {
	c := declared(name, dependencies...)
	c.Service.Protocol = mesh.GRPC
	return c
}

func ordersAt(id string, port int) mesh.Change {
	c := registered("orders", id)
	c.Instance.Port = mesh.Port(port)
	return c
}

// ordersWithEverything declares what gRPC's libraries refuse or do not heed.
func ordersWithEverything() mesh.Change {
	c := grpcService("orders")
	s := c.Service
	s.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckGRPC}
	s.Traffic = mesh.Traffic{
		Timeout: mesh.Duration(3 * time.Second), HostHeader: "orders.example",
		Retries:          &mesh.Retries{Attempts: 3, On: []string{"5xx", "unavailable"}},
		LoadBalancing:    mesh.LoadBalancing{Policy: mesh.Maglev, LocalityWeights: []mesh.LocalityWeight{{Zone: "b", Weight: 0}}},
		CircuitBreaker:   &mesh.CircuitBreaker{MaxRequests: 30},
		OutlierDetection: &mesh.OutlierDetection{},
	}
	s.Subsets = []mesh.Subset{{Name: "v1", Labels: map[string]string{"version": "v1"}}}
	s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: ".*"}}, To: []mesh.WeightedSubset{{Subset: "v1", Weight: 1}}}}
	return c
}

// gRPC's own xDS client, which is no Envoy, calls xds:///orders: it finds the
// instances, shares calls out among them, follows them as they come and go, and
// knows nothing of services that its own has not declared.
func TestProxylessClient(t *testing.T) {
	first, second := grpcBackend(t), grpcBackend(t)
	m := startProxyless(t, nil)
	m.apply(ordersAt("1", first))
	dial := m.dial(t)
	orders := dial("xds:///orders")
	orders.until(t, first)
	m.apply(ordersAt("2", second))
	orders.until(t, first, second)
	m.apply(ordersAt("1", second))
	orders.until(t, second)

	// gRPC waits for 15 s before it says that something does not exist.
	for _, target := range []string{"xds:///secret", "xds:///billing"} {
		if code := status.Code(dial(target).call(t, time.Second)); code != codes.Unavailable && code != codes.DeadlineExceeded {
			t.Errorf("a call of %s, which it cannot call, ended with %s", target, code)
		}
	}
	for _, one := range m.server.Status() {
		for _, typ := range one.Types {
			if typ.Nacks != 0 || !typ.BehindSince.IsZero() {
				t.Errorf("%s: %+v refused %+v", typ.Type, typ, typ.LastNack)
			}
		}
	}
	ends := func(want codes.Code) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for code := codes.Unknown; code != want; code = status.Code(orders.call(t, 5*time.Second)) {
			if time.Now().After(deadline) {
				t.Fatalf("calls end with %s, want %s", code, want)
			}
		}
	}
	m.apply(grpcService("web", "billing")) // orders is not declared any more
	ends(codes.Unavailable)
	m.apply(grpcService("web", "orders"))
	ends(codes.OK)
}

// A service whose declaration has what gRPC's client refuses in a cluster, a
// route or an endpoint: it gets what it can use, refuses nothing, and the owner
// of the calling service is told what it does without.
func TestProxylessClientOfAServiceThatDeclaresMore(t *testing.T) {
	port := grpcBackend(t)
	m := startProxyless(t, nil)
	elsewhere := ordersAt("2", 1) // in a zone of weight 0, so that nobody calls it
	elsewhere.Instance.Locality = mesh.Locality{Zone: "b"}
	m.apply(ordersWithEverything(), ordersAt("1", port), elsewhere)

	m.dial(t)("xds:///orders").until(t, port)
	if nacks := m.nacks(); len(nacks) > 0 {
		t.Error(nacks)
	}
	const want = `its proxyless clients call "orders" without what it declares as healthCheck, routes, traffic.hostHeader, traffic.retries.on, traffic.loadBalancing.policy, traffic.outlierDetection: `
	var told []string
	for _, problem := range m.plane.Problems() {
		told = append(told, problem.Object+": "+problem.Message)
	}
	if !slices.ContainsFunc(told, func(p string) bool { return strings.HasPrefix(p, "service/web: "+want) }) {
		t.Errorf("told: %q, want %q", told, want)
	}
}

// What gRPC's client refuses all the same is named in the status, with the
// declaration it was made from, and its calls go on.
func TestARefusalOfAProxylessClientIsNamed(t *testing.T) {
	port := grpcBackend(t)
	var spoil atomic.Bool
	m := startProxyless(t, func(u *xds.Update) {
		if !spoil.Load() {
			return
		}
		for i, one := range u.Put {
			if one.Name != "proxyless.orders" || one.Type != translate.TypeCluster {
				continue
			}
			bad, err := xds.NewResource(one.Type, one.Name, &clusterv3.Cluster{
				Name: one.Name, LbPolicy: clusterv3.Cluster_MAGLEV, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
			}, one.Origin)
			if err != nil {
				t.Error(err)
			}
			u.Put[i] = bad
		}
	})
	m.apply(ordersAt("1", port))
	orders := m.dial(t)("xds:///orders")
	orders.until(t, port)
	spoil.Store(true)
	changed := grpcService("orders")
	changed.Service.Meta.Author = "ann"
	changed.Service.Traffic.CircuitBreaker = &mesh.CircuitBreaker{MaxRequests: 7}
	m.apply(changed)

	deadline := time.Now().Add(10 * time.Second)
	for len(m.nacks()) == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("no refusal: %+v", m.server.Status())
		}
		orders.until(t, port) // calls go on all the while
	}
	orders.until(t, port)
	if nacks := m.nacks(); len(nacks) != 1 || !strings.HasPrefix(nacks[0], "web/web-1 refused "+translate.TypeCluster) || !strings.Contains(nacks[0], "MAGLEV") {
		t.Errorf("status: %q", nacks)
	}
	held := m.server.Quarantine()
	if len(held) != 1 || held[0].Name != "proxyless.orders" || held[0].Node != "web/web-1" || held[0].Origin.Object != "service/orders" || held[0].Origin.Author != "ann" || held[0].Good == "" {
		t.Errorf("quarantined: %+v", held)
	}
}

func setOf(ports []int) map[int]bool {
	set := map[int]bool{}
	for _, port := range ports {
		set[port] = true
	}
	return set
}

// grpcBackend is an instance that answers health checks; its port tells which.
func grpcBackend(t *testing.T) (port int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	healthv1.RegisterHealthServer(g, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().(*net.TCPAddr).Port
}
