package xds_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// A real Envoy under load takes a changed cluster, a route to a new one, a
// refusal and its mending, and a restart of the server, and no request fails.
func TestEnvoy(t *testing.T) {
	envoytest.Path(t)
	for _, api := range []string{"DELTA_GRPC", "GRPC"} {
		t.Run(api, func(t *testing.T) { playEnvoy(t, api) })
	}
}

func playEnvoy(t *testing.T, api string) {
	first, second := backend(t, "first"), backend(t, "second")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	server, stop := serveTCP(t, listener)
	w := &envoyWorld{t: t, members: map[xds.Key]*xds.Resource{}}
	server.Apply(w.update(nil, edsCluster("one", time.Second), endpoints("one", first), httpListener(t), routes("one")))
	envoy := envoytest.Start(t, envoyBootstrap(t, api, address))
	load := startLoad(t, envoy.Listener(t, "out"))
	load.expect("first")

	// Envoy warms the changed cluster although its endpoints are the same.
	server.Apply(w.update(nil, edsCluster("one", 2*time.Second)))
	eventually(t, "the changed cluster is in use", func() bool {
		return strings.Contains(envoy.Get(t, "/config_dump?resource=dynamic_active_clusters"), `"connect_timeout": "2s"`)
	})

	// One update: a new cluster, the route to it, and the old cluster gone.
	server.Apply(w.update([]string{"one"}, edsCluster("two", time.Second), endpoints("two", second), routes("two")))
	load.expect("second")
	eventually(t, "the old cluster is gone", func() bool {
		return !strings.Contains(envoy.Get(t, "/clusters"), "one::observability_name")
	})

	// What it refuses does not disturb it, and is told of.
	server.Apply(w.update(nil, &clusterv3.Cluster{Name: "three", ConnectTimeout: durationpb.New(time.Second), LbPolicy: clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG}))
	nack := func() *xds.Nack { return statusOf(server, xds.TypeCluster).LastNack }
	eventually(t, "it refuses the faulty cluster", func() bool { return nack() != nil && nack().Standing })
	if n := nack(); len(n.Origins) != 1 || n.Origins[0].Object != "three" {
		t.Errorf("refused %v from %v: %s", n.Names, n.Origins, n.Message)
	}
	server.Apply(w.update(nil, edsCluster("three", time.Second), endpoints("three", second)))
	eventually(t, "it takes the mended cluster", func() bool {
		return !nack().Standing && statusOf(server, xds.TypeCluster).BehindSince.IsZero()
	})

	// Another server in its place, with one changed cluster: in delta, Envoy says
	// what it has and is sent that alone, and its endpoints, without which it
	// would not take it into use.
	stop()
	listener, err = net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server, stop = serveTCP(t, listener)
	defer stop()
	server.Apply(w.update(nil, edsCluster("two", 3*time.Second)))
	eventually(t, "it is back and has everything", func() bool {
		all := server.Status()
		if len(all) != 1 || len(all[0].Types) != 4 {
			return false
		}
		for _, one := range all[0].Types {
			if !one.BehindSince.IsZero() || one.Acknowledged == "" {
				return false
			}
		}
		return true
	})
	if n := statusOf(server, xds.TypeRoute).Responses; api == "DELTA_GRPC" && n != 0 {
		t.Errorf("%d responses with routes, which it had", n)
	}
	eventually(t, "the cluster that changed meanwhile is in use", func() bool {
		return strings.Contains(envoy.Get(t, "/config_dump?resource=dynamic_active_clusters"), `"connect_timeout": "3s"`)
	})
	server.Apply(w.update(nil, routes("three")))
	eventually(t, "it still takes updates", func() bool { return statusOf(server, xds.TypeRoute).BehindSince.IsZero() })
	load.stop()
}

func statusOf(server *xds.Server, typeURL string) xds.TypeStatus {
	for _, one := range server.Status() {
		for _, typ := range one.Types {
			if typ.Type == typeURL {
				return typ
			}
		}
	}
	return xds.TypeStatus{BehindSince: time.Now()}
}

func serveTCP(t *testing.T, listener net.Listener, options ...grpc.ServerOption) (server *xds.Server, stop func()) {
	server = xds.NewServer(xds.Config{Scopes: scopes{}})
	return server, serveOn(t, server, listener, options...)
}

func serveOn(t *testing.T, server *xds.Server, listener net.Listener, options ...grpc.ServerOption) (stop func()) {
	g := grpc.NewServer(append(xds.ServerOptions(), options...)...)
	server.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	return sync.OnceFunc(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
}

func backend(t *testing.T, says string) *httptest.Server {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, says) }))
	t.Cleanup(b.Close)
	return b
}

// load sends requests without a pause; each must be answered with 200.
type load struct {
	t    *testing.T
	last atomic.Value // string: the last answer
	stop func()
}

func startLoad(t *testing.T, address string) *load {
	l := &load{t: t}
	l.last.Store("")
	done, ended := make(chan struct{}), make(chan struct{})
	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	go func() {
		defer close(ended)
		defer client.CloseIdleConnections()
		for {
			select {
			case <-done:
				return
			default:
				l.request(client, "http://"+address)
			}
		}
	}()
	l.stop = sync.OnceFunc(func() { close(done); <-ended })
	t.Cleanup(l.stop)
	return l
}

func (l *load) request(client *http.Client, url string) {
	response, err := client.Get(url)
	if err != nil {
		l.t.Errorf("a request failed: %v", err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		l.t.Errorf("a request failed: %s %q %v", response.Status, body, err)
	}
	l.last.Store(string(body))
}

func (l *load) expect(answer string) {
	l.t.Helper()
	eventually(l.t, "requests are answered by "+answer, func() bool { return l.last.Load() == answer })
}
