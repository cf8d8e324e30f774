package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// TestAnUnsyncedServerServesNobody: a server that reaches etcd, but has not read
// the whole mesh, says that it is not ready and sends no proxy anything: it ends
// their streams with UNAVAILABLE, and they get their configuration from another
// server. When it has read the mesh it serves all of it. When etcd is lost later,
// also to new proxies, and also when etcd has forgotten meanwhile what changed.
func TestAnUnsyncedServerServesNobody(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	good := startServer(t, "--etcd-endpoints", etcd.Endpoint())
	good.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	good.register("orders", "a", app(t, says("from a")))
	for i := range 100 { // so that the whole mesh is far more than may pass at first
		one := service(fmt.Sprintf("other-%d", i), mesh.HTTP)
		one.Description = strings.Repeat("d", 1000)
		good.declare(one)
	}

	line := startThrottle(t, etcd.Endpoint())
	line.allow(50_000)
	late := &server{t: t, rest: "http://" + heddletest.Loopback(heddletest.FreePort(t)), xds: heddletest.Loopback(heddletest.FreePort(t)), token: good.token}
	late.Process = heddle.Start(t, "server", "--listen", strings.TrimPrefix(late.rest, "http://"), "--xds-listen", late.xds, "--etcd-endpoints", line.address())
	late.client = late.newClient(late.token)

	late.probes(t, "/livez", http.StatusOK, "live")
	late.probes(t, "/readyz", http.StatusServiceUnavailable, "the mesh has not been read from etcd yet")
	late.health(t, healthpb.HealthCheckResponse_NOT_SERVING)
	waiting := openStreams(t, late.xds)
	side := startFailoverSidecar(t, []*server{late, good}, "web", "1")
	side.wants(t, "orders", "/", http.StatusOK, "from a")
	for variant, err := range waiting() {
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "has not read the whole mesh") {
			t.Errorf("%s: the stream ended with %v, want UNAVAILABLE", variant, err)
		}
	}
	late.probes(t, "/readyz", http.StatusServiceUnavailable, "the mesh has not been read from etcd yet")

	line.allow(unlimited)
	late.probes(t, "/readyz", http.StatusOK, "ready")
	late.health(t, healthpb.HealthCheckResponse_SERVING)
	startFailoverSidecar(t, []*server{late}, "web", "2").wants(t, "orders", "/", http.StatusOK, "from a")

	line.allow(0)
	late.probes(t, "/readyz", http.StatusServiceUnavailable, "etcd does not answer")
	third := startFailoverSidecar(t, []*server{late}, "web", "3")
	third.wants(t, "orders", "/", http.StatusOK, "from a")
	load := startLoad(t, third, "orders")
	for i := range 100 {
		if err := good.client.DeleteService(t.Context(), mesh.ServiceName(fmt.Sprintf("other-%d", i)), 0); err != nil {
			t.Fatal(err)
		}
	}
	good.register("orders", "b", app(t, says("from b")))
	compact(t, etcd.Endpoint())
	line.breakAll() // or what etcd had sent before would still come
	line.allow(unlimited)
	third.wants(t, "orders", "/", http.StatusOK, "from b")
	if !strings.Contains(late.Log.String(), "has been compacted") {
		t.Error("the server's watch was not behind etcd's compaction")
	}
	late.probes(t, "/readyz", http.StatusOK, "ready")
	hashes(t, late, []*sidecar{third})
	load.endsWithoutFailure(t)
}

// probes waits until a health endpoint answers like this.
func (s *server) probes(t *testing.T, path string, code int, text string) {
	t.Helper()
	heddletest.Eventually(t, fmt.Sprintf("%s to answer %d with %q", path, code, text), func() error {
		got, err := ask(t, strings.TrimPrefix(s.rest, "http://"), "localhost", path)
		if err == nil && (got.status != code || !strings.Contains(got.body, text)) {
			err = fmt.Errorf("got %d: %s", got.status, got.body)
		}
		return err
	})
}

func (s *server) health(t *testing.T, want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	connection, err := grpc.NewClient(s.xds, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	got, err := healthpb.NewHealthClient(connection).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || got.GetStatus() != want {
		t.Errorf("gRPC health is %v, %v; want %v", got, err, want)
	}
}

// openStreams asks for clusters by delta and by state of the world; the function
// waits for how the streams end. A response of any kind is not how they should.
func openStreams(t *testing.T, address string) func() map[string]error {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	ads, node := discoveryv3.NewAggregatedDiscoveryServiceClient(connection), &corev3.Node{Id: "web/script"}
	delta, err := ads.DeltaAggregatedResources(t.Context())
	if err == nil {
		err = delta.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: xds.TypeCluster})
	}
	sotw, second := ads.StreamAggregatedResources(t.Context())
	if second == nil {
		second = sotw.Send(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: xds.TypeCluster})
	}
	if err = errors.Join(err, second); err != nil {
		t.Fatal(err)
	}
	return func() map[string]error {
		ends := map[string]error{}
		var r any
		if r, ends["delta"] = delta.Recv(); ends["delta"] == nil {
			t.Errorf("an unsynced server sent %v", r)
		}
		if r, ends["sotw"] = sotw.Recv(); ends["sotw"] == nil {
			t.Errorf("an unsynced server sent %v", r)
		}
		return ends
	}
}

// compact makes an etcd forget all history.
func compact(t *testing.T, endpoint string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	now, err := client.Get(ctx, "/")
	if err == nil {
		_, err = client.Compact(ctx, now.Header.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unlimited is no bound.
const unlimited = -1

// throttle stands between a server and etcd, and bounds how much etcd can say.
type throttle struct {
	listener net.Listener
	network  string
	target   string
	running  sync.WaitGroup

	mu          sync.Mutex
	changed     *sync.Cond
	left        int // guarded by mu: bytes that may still pass to the server
	closed      bool
	connections map[net.Conn]struct{} // guarded by mu
}

func startThrottle(t *testing.T, endpoint string) *throttle {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &throttle{listener: listener, network: "tcp", connections: map[net.Conn]struct{}{}}
	_, r.target, _ = strings.Cut(endpoint, "://")
	if strings.HasPrefix(endpoint, "unix") {
		r.network = "unix"
	}
	r.changed = sync.NewCond(&r.mu)
	r.running.Go(func() {
		for {
			server, err := listener.Accept()
			if err != nil {
				return
			}
			r.running.Go(func() { r.serve(server) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		r.breakAll()
		r.running.Wait()
	})
	return r
}

func (r *throttle) address() string { return "http://" + r.listener.Addr().String() }

// allow says how many bytes may pass from now on.
func (r *throttle) allow(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = bytes
	r.changed.Broadcast()
}

// breakAll ends all connections.
func (r *throttle) breakAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for one := range r.connections {
		_ = one.Close()
	}
	clear(r.connections)
	r.changed.Broadcast()
}

func (r *throttle) serve(server net.Conn) {
	defer server.Close()
	etcd, err := net.Dial(r.network, r.target)
	if err != nil {
		return
	}
	defer etcd.Close()
	r.mu.Lock()
	r.connections[server], r.connections[etcd] = struct{}{}, struct{}{}
	r.mu.Unlock()
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = io.Copy(etcd, server); _ = etcd.Close() })
	defer asking.Wait()
	defer server.Close()
	buffer := make([]byte, 4<<10)
	for {
		n, err := etcd.Read(buffer)
		for rest := buffer[:n]; len(rest) > 0; {
			pass := r.pass(server, len(rest))
			if _, failed := server.Write(rest[:pass]); pass == 0 || failed != nil {
				return
			}
			rest = rest[pass:]
		}
		if err != nil {
			return
		}
	}
}

// pass waits until some of n bytes may pass, and says how many; none on a
// connection that was broken.
func (r *throttle) pass(server net.Conn, n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		_, there := r.connections[server]
		switch {
		case !there || r.closed:
			return 0
		case r.left == unlimited:
			return n
		case r.left > 0:
			n = min(n, r.left)
			r.left -= n
			return n
		}
		r.changed.Wait()
	}
}
