package test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// hubVariable has what the namespaces are called.
const hubVariable = "HEDDLE_TEST_HUB"

// membersHub is where the members of etcd are reached.
var membersHub = heddletest.Hub{
	Variable: hubVariable, Name: func() string { hub, _ := namespaces(); return hub }, Build: buildNamespaces, Drop: dropNamespaces,
}

// TestHighAvailability: a 3-member etcd and two control planes, as processes,
// with each member in a network namespace of its own, while requests flow
// through real Envoys and a writer changes the mesh. In the end no request has
// failed, no acknowledged write is lost, and every Envoy holds what the model
// says, by the hashes of what it has in force. It runs itself again
// inside a hub namespace, where the members are reached.
func TestHighAvailability(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the two minutes of faults")
	}
	if membersHub.Inside(t, 9*time.Minute) {
		highAvailability(t)
	}
}

func highAvailability(t *testing.T) {
	c := startCluster(t)
	planes := []*server{startServer(t, "--etcd-endpoints", c.endpoints())}
	planes = append(planes, startServer(t, "--etcd-endpoints", c.endpoints()))
	token := planes[0].token
	first := planes[0]
	first.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	first.register("orders", "a", app(t, says("from a")))
	first.register("orders", "b", app(t, says("from b")))
	var sides []*sidecar
	for i := range 2 {
		side := startFailoverSidecar(t, planes, "web", fmt.Sprintf("web-%d", i))
		side.wants(t, "orders", "/", http.StatusOK, "from a")
		sides = append(sides, side)
	}
	load := startLoad(t, sides[0], "orders")
	w := startWriter(t, planes, token)

	step := func(name string, do func()) {
		start := time.Now()
		do()
		w.more(t, 5)
		load.more(t, 50)
		t.Logf("%-44s %5.1f s, %d writes acknowledged, %d requests", name, time.Since(start).Seconds(), w.acknowledged.Load(), load.sent.Load())
	}
	step("kill -9 of etcd's leader", func() {
		leader, err := c.leader()
		if err != nil {
			t.Fatal(err)
		}
		c.kill(leader)
		w.more(t, 10)
		c.start(leader)
	})
	step("a member is cut off for 5 s", func() {
		cut(t, c.members[1], 1, 5*time.Second, w)
	})
	step("etcd has no quorum for 30 s", func() {
		c.signal(syscall.SIGSTOP, c.members[0], c.members[1])
		load.moreFor(t, 30*time.Second)
		c.signal(syscall.SIGCONT, c.members[0], c.members[1])
	})
	step("etcd is compacted to its head", func() {
		if err := c.compact(); err != nil {
			t.Fatal(err)
		}
	})
	step("a control plane stands still for 10 s", func() {
		_ = planes[0].Signal(syscall.SIGSTOP)
		load.moreFor(t, 10*time.Second)
		_ = planes[0].Signal(syscall.SIGCONT)
	})
	step("both control planes are rolled ten times", func() {
		for i := range 2 * 10 {
			one := planes[i%2]
			one.End()
			one.restart()
		}
	})
	w.stop()
	w.check(t, planes)
	change(t, first, sides, "after the faults")
	converged(t, planes, len(sides))
	for _, plane := range planes {
		hashes(t, plane, sides)
	}
	load.endsWithoutFailure(t)

	restore(t, c, planes, sides)
}

// cut takes a member's cable out for a while; the others go on.
func cut(t *testing.T, _ *member, index int, long time.Duration, w *writer) {
	t.Helper()
	if err := ip("link set " + link(index) + " down"); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(long)
	w.more(t, 5)
	waitUntil(end)
	if err := ip("link set " + link(index) + " up"); err != nil {
		t.Fatal(err)
	}
}

// waitUntil lets a fault last for as long as it should.
func waitUntil(end time.Time) { <-time.After(time.Until(end)) }

// moreFor lets the load go on for a while, and sees that it does.
func (l *load) moreFor(t *testing.T, long time.Duration) {
	t.Helper()
	end := time.Now().Add(long)
	l.more(t, 50)
	waitUntil(end)
	l.more(t, 10)
}

// startFailoverSidecar is startSidecar with all the control planes.
func startFailoverSidecar(t *testing.T, planes []*server, name, id string) *sidecar {
	t.Helper()
	port := heddletest.FreePort(t)
	var addresses []string
	for _, one := range planes {
		addresses = append(addresses, one.xds)
	}
	profile := mesh.Proxy{Service: mesh.ServiceName(name), Instance: mesh.InstanceID(id), OutboundPort: port}
	bootstrap, err := proxy.Bootstrap(proxy.BootstrapConfig{Proxy: profile, XDS: addresses})
	if err != nil {
		t.Fatal(err)
	}
	return &sidecar{Envoy: envoytest.Start(t, bootstrap), profile: profile, outbound: heddletest.Loopback(port)}
}

// change registers one more instance, which every sidecar has to reach.
func change(t *testing.T, s *server, sides []*sidecar, name string) {
	t.Helper()
	s.register("orders", strings.ReplaceAll(name, " ", "-"), app(t, says(name)))
	for _, side := range sides {
		side.wants(t, "orders", "/", http.StatusOK, name)
	}
}

// converged waits until all proxies, wherever they are connected, have
// acknowledged the same clusters and endpoints: versions are hashes of content.
func converged(t *testing.T, planes []*server, proxies int) {
	t.Helper()
	heddletest.Eventually(t, "all proxies to hold the same", func() error {
		seen, versions := 0, map[string]map[string]bool{}
		for _, plane := range planes {
			list, err := plane.client.Proxies(t.Context())
			if err != nil {
				return err
			}
			for _, one := range list {
				seen++
				for _, typed := range one.Types {
					if typed.Sent != typed.Acknowledged || !typed.BehindSince.IsZero() {
						return fmt.Errorf("%s is behind with %s", one.Node, typed.Type)
					}
					if strings.HasSuffix(typed.Type, ".Cluster") || strings.HasSuffix(typed.Type, ".ClusterLoadAssignment") {
						if versions[typed.Type] == nil {
							versions[typed.Type] = map[string]bool{}
						}
						versions[typed.Type][typed.Acknowledged] = true
					}
				}
			}
		}
		for kind, several := range versions {
			if len(several) != 1 {
				return fmt.Errorf("%s: versions %v", kind, several)
			}
		}
		if seen != proxies || len(versions) != 2 {
			return fmt.Errorf("%d proxies are connected, want %d", seen, proxies)
		}
		return nil
	})
}

// restore puts etcd back to an older state, as an operator does after a loss:
// the control planes take over what is there then.
func restore(t *testing.T, c *cluster, planes []*server, sides []*sidecar) {
	t.Helper()
	old := t.TempDir()
	copyAll := func(from, to func(i int) string) {
		for _, one := range c.members {
			c.kill(one)
		}
		for i := range c.members {
			if err := os.RemoveAll(to(i)); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(to(i), os.DirFS(from(i))); err != nil {
				t.Fatal(err)
			}
		}
		for _, one := range c.members {
			c.start(one)
		}
		heddletest.Eventually(t, "a leader", func() error { _, err := c.leader(); return err })
	}
	data := func(i int) string { return c.members[i].Dir }
	backup := func(i int) string { return filepath.Join(old, strconv.Itoa(i)) }
	copyAll(data, backup)
	heddletest.Eventually(t, "a write after the backup", func() error {
		_, err := planes[0].client.PutService(t.Context(), service("later", mesh.HTTP))
		return err
	})
	copyAll(backup, data)
	for _, plane := range planes {
		heddletest.Eventually(t, "the control planes to follow the restored etcd", func() error {
			_, err := plane.client.Service(t.Context(), "later")
			if mesh.KindOf(err) != mesh.KindNotFound {
				return fmt.Errorf("what was written after the backup: %w", err)
			}
			return nil
		})
	}
	change(t, planes[1], sides, "after the restore")
	converged(t, planes, len(sides))
	for _, plane := range planes {
		hashes(t, plane, sides)
	}
}

// writer changes services through both control planes, one write after another,
// and remembers what was acknowledged.
type writer struct {
	acknowledged atomic.Int64 // writes
	last         [4]int       // by service: the last number acknowledged; read after stop
	tried        [4]int       // the last number sent
	stop         func()
}

func startWriter(t *testing.T, planes []*server, token string) *writer {
	t.Helper()
	w := &writer{}
	var clients []*client.Client
	for _, one := range planes {
		one.client = one.newClient(token)
		clients = append(clients, one.client)
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			select {
			case <-ended:
				return
			default:
			}
			i := n % len(w.last)
			one := service(fmt.Sprintf("model-%d", i), mesh.HTTP)
			one.Description = strconv.Itoa(n)
			w.tried[i] = n
			if _, err := clients[n%2].PutService(t.Context(), one); err == nil {
				w.last[i] = n
				w.acknowledged.Add(1)
			}
		}
	}()
	w.stop = sync.OnceFunc(func() { close(ended); <-done })
	t.Cleanup(w.stop)
	return w
}

// more waits until n writes more have been acknowledged.
func (w *writer) more(t *testing.T, n int64) {
	t.Helper()
	want := w.acknowledged.Load() + n
	heddletest.Eventually(t, fmt.Sprintf("%d writes more", n), func() error {
		if got := w.acknowledged.Load(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// check holds what both control planes know to what was acknowledged.
func (w *writer) check(t *testing.T, planes []*server) {
	t.Helper()
	for p, plane := range planes {
		for i := range w.last {
			heddletest.Eventually(t, fmt.Sprintf("model-%d on control plane %d", i, p), func() error {
				got, err := plane.client.Service(t.Context(), mesh.ServiceName(fmt.Sprintf("model-%d", i)))
				if err != nil {
					return err
				}
				number, err := strconv.Atoi(got.Description)
				if err != nil || number < w.last[i] || number > w.tried[i] {
					return errors.Join(err, fmt.Errorf("it holds %q, acknowledged was %d", got.Description, w.last[i]))
				}
				return nil
			})
		}
	}
}
