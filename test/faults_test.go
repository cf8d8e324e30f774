package test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// load asks through a sidecar without a pause, until it is stopped.
type load struct {
	sent, failed atomic.Int64
	mu           sync.Mutex
	first        string // guarded by mu: how the first failure looked
	stop         func()
}

func startLoad(t *testing.T, side *sidecar, host string) *load {
	t.Helper()
	l := &load{}
	ended := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				got, err := side.call(t, host, "/")
				l.sent.Add(1)
				if err != nil || got.status != http.StatusOK {
					l.failed.Add(1)
					l.mu.Lock()
					if l.first == "" {
						l.first = fmt.Sprint(got, err)
					}
					l.mu.Unlock()
				}
			}
		})
	}
	l.stop = sync.OnceFunc(func() { close(ended); workers.Wait() })
	t.Cleanup(l.stop)
	return l
}

// more waits until n requests more have been answered.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	want := l.sent.Load() + n
	heddletest.Eventually(t, fmt.Sprintf("%d requests more", n), func() error {
		if sent := l.sent.Load(); sent < want {
			return fmt.Errorf("%d of %d", sent, want)
		}
		return nil
	})
}

func (l *load) endsWithoutFailure(t *testing.T) {
	t.Helper()
	l.stop()
	if failed := l.failed.Load(); failed > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", failed, l.sent.Load(), l.first)
	}
}

// startCaller gives the sidecar of web, which calls orders, once orders' instance has answered.
func startCaller(t *testing.T, s *server, instance string) *sidecar {
	t.Helper()
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	s.register("orders", instance, app(t, says("from "+instance)))
	web := startSidecar(t, s, "web", "1", "", proxy.Delta)
	web.wants(t, "orders", "/", http.StatusOK, "from "+instance)
	return web
}

func TestTrafficOutlivesTheControlPlane(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	web := startCaller(t, s, "a")
	l := startLoad(t, web, "orders")
	l.more(t, 100)
	s.Kill()
	l.more(t, 200)
	s.restart()
	l.more(t, 100)
	if got, err := s.client.Service(t.Context(), "orders"); err != nil || got.Owner != "team-test" {
		t.Errorf("after the restart the declaration is %+v, %v", got, err)
	}
	s.register("orders", "b", app(t, says("from b")))
	web.wants(t, "orders", "/", http.StatusOK, "from b")
	l.endsWithoutFailure(t)
}

// TestInstancesComeAndGoUnderLoad: registered, drained and deregistered again
// and again, while requests flow.
func TestInstancesComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	web := startCaller(t, s, "stays")
	l := startLoad(t, web, "orders")
	comes := app(t, says("comes"))
	for i := range 15 {
		one := s.register("orders", fmt.Sprintf("comes-%d", i), comes)
		l.more(t, 20)
		if i%2 == 0 {
			if _, err := s.client.SetHealth(t.Context(), one.Key(), one.Epoch, mesh.Draining); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.client.Deregister(t.Context(), one.Key(), one.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	l.endsWithoutFailure(t)
}

func TestACorruptValueHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	web := startCaller(t, s, "a")

	socket := filepath.Join(s.dataDir(), "etcd.sock")
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	for key, value := range map[string]string{
		"/heddle/v1/services/orders":       "}{",
		"/heddle/v1/services/new":          `{"name":"other"}`,
		"/heddle/v1/instances/orders/b":    `{"id":"b","service":"orders","address":"nowhere","port":0}`,
		"/heddle/v1/instances/orders/\xff": "",
	} {
		if _, err := etcd.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	heddletest.Eventually(t, "the corrupt values to be reported", func() error {
		problems, err := s.client.Problems(t.Context())
		if err != nil {
			return err
		}
		if len(problems) < 4 {
			return fmt.Errorf("%d problems: %+v", len(problems), problems)
		}
		return nil
	})
	s.register("orders", "c", app(t, says("from c"))) // others go on
	web.wants(t, "orders", "/", http.StatusOK, "from c")
	web.wants(t, "orders", "/", http.StatusOK, "from a")
	s.declare(service("orders", mesh.HTTP)) // written anew
	heddletest.Eventually(t, "the mended value to be no problem any more", func() error {
		problems, err := s.client.Problems(t.Context())
		for _, p := range problems {
			if p.Object == "/heddle/v1/services/orders" {
				err = errors.New(p.Message)
			}
		}
		return err
	})
}

func TestRuntimeValuesReachEnvoy(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("web", mesh.HTTP))
	web := startSidecar(t, s, "web", "1", "", proxy.Delta)
	if _, err := s.client.PutRuntime(t.Context(), mesh.Runtime{Values: map[string]any{"heddle.test.key": 42.0}}); err != nil {
		t.Fatal(err)
	}
	heddletest.Eventually(t, "Envoy to know the runtime value", func() error {
		if known := web.Get(t, "/runtime"); !strings.Contains(known, "heddle.test.key") || !strings.Contains(known, "42") {
			return errors.New(known)
		}
		return nil
	})
}

// TestTwoControlPlanesServeTheSame: replicas on one etcd give a proxy the same
// versions, so one that goes over to the other is sent nothing that it has.
func TestTwoControlPlanesServeTheSame(t *testing.T) {
	t.Parallel()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	first := startServer(t, "--etcd-endpoints", etcd.Endpoint())
	second := startServer(t, "--etcd-endpoints", etcd.Endpoint())
	if second.token != "" {
		t.Error("the second server made an admin token too")
	}
	first.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	first.register("orders", "a", app(t, says("from a")))
	one := startSidecar(t, first, "web", "1", "", proxy.Delta)
	// The same profile as the first one's, so that the scope is the same.
	two := startSidecar(t, second, "web", "2", "", proxy.Delta)
	one.wants(t, "orders", "/", http.StatusOK, "from a")
	two.wants(t, "orders", "/", http.StatusOK, "from a")
	version := func(s *server) string {
		proxies, err := s.client.Proxies(t.Context())
		if err != nil || len(proxies) != 1 {
			t.Fatalf("%d proxies, %v", len(proxies), err)
		}
		for _, one := range proxies[0].Types {
			if strings.HasSuffix(one.Type, "ClusterLoadAssignment") {
				return one.Acknowledged
			}
		}
		return ""
	}
	heddletest.Eventually(t, "both to have acknowledged the same version", func() error {
		if a, b := version(first), version(second); a == "" || a != b {
			return fmt.Errorf("%q and %q", a, b)
		}
		return nil
	})
}

func TestAServerThatCannotListenSaysSo(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := heddle.Path(t)
	for name, arguments := range map[string][]string{
		"the REST address is taken": {"--listen", strings.TrimPrefix(s.rest, "http://"), "--data-dir", t.TempDir()},
		"the xDS address is taken":  {"--listen", "127.0.0.1:0", "--xds-listen", s.xds, "--data-dir", t.TempDir()},
		"the data is in use":        {"--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", s.dataDir()},
		"a folder cannot be made":   {"--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", "/proc/none"},
		"no etcd is there":          {"--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--etcd-endpoints", "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, code := run(t, path, append([]string{"server"}, arguments...)...)
			if code == 0 || !strings.Contains(output, "heddle: ") {
				t.Errorf("exit %d, output:\n%s", code, output)
			}
		})
	}
}
