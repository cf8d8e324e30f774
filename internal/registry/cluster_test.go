package registry_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// loopback gives the URL of a port that was free a moment ago.
func loopback(t *testing.T, scheme string) url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return url.URL{Scheme: scheme, Host: listener.Addr().String()}
}

// member is an etcd as a cluster's operator runs it.
type member struct {
	*embed.Etcd
	stop func() // may be called again
}

func startMember(t *testing.T, ec *embed.Config) member {
	t.Helper()
	etcd, err := embed.StartEtcd(ec)
	if err != nil {
		t.Fatal(err)
	}
	m := member{etcd, sync.OnceFunc(etcd.Close)}
	t.Cleanup(m.stop)
	return m
}

func memberConfig(t *testing.T, name, clientScheme string) *embed.Config {
	t.Helper()
	ec := embed.NewConfig()
	ec.Name, ec.Dir = name, t.TempDir()
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	ec.ListenClientUrls = []url.URL{loopback(t, clientScheme)}
	ec.AdvertiseClientUrls = ec.ListenClientUrls
	ec.ListenPeerUrls = []url.URL{loopback(t, "http")}
	ec.AdvertisePeerUrls = ec.ListenPeerUrls
	ec.InitialCluster = ec.InitialClusterFromName(name)
	ec.TickMs, ec.ElectionMs = 50, 500
	return ec
}

// startCluster starts three members, and gives them with their endpoints.
func startCluster(t *testing.T) (members []member, endpoints []string) {
	t.Helper()
	var configs []*embed.Config
	var initial []string
	for i := range 3 {
		ec := memberConfig(t, fmt.Sprintf("m%d", i), "http")
		configs = append(configs, ec)
		initial = append(initial, ec.InitialCluster)
		endpoints = append(endpoints, ec.ListenClientUrls[0].String())
	}
	for _, ec := range configs {
		ec.InitialCluster = strings.Join(initial, ",")
		members = append(members, startMember(t, ec))
	}
	for _, m := range members {
		select {
		case <-m.Server.ReadyNotify():
		case <-time.After(30 * time.Second):
			t.Fatal("a member of the cluster was not ready after 30 s")
		}
	}
	return members, endpoints
}

// counters increment one number by compare-and-swap, from several stores at
// once, until told to stop; what is unavailable they repeat with the request id.
type counters struct {
	done     sync.WaitGroup
	stop     atomic.Bool
	accepted atomic.Int64 // increments that were acknowledged
	longest  atomic.Int64 // ns from the first try of an increment to its acknowledgement
}

func (c *counters) start(t *testing.T, stores []*registry.Store) {
	for i, s := range stores {
		c.done.Go(func() {
			for n := 0; !c.stop.Load(); n++ {
				c.increment(t, s, fmt.Sprintf("%d-%d", i, n))
			}
		})
	}
}

func (c *counters) increment(t *testing.T, s *registry.Store, id string) {
	start := time.Now()
	for time.Since(start) < 30*time.Second {
		before, err := s.Runtime(t.Context())
		if err != nil {
			continue // unavailable: tried in bounded time, so tried again
		}
		count, _ := before.Values["count"].(float64)
		w := registry.Write{Revision: before.Meta.Revision, RequestID: id}
		for err = error(&mesh.Error{Kind: mesh.KindUnavailable}); mesh.KindOf(err) == mesh.KindUnavailable && time.Since(start) < 30*time.Second; {
			_, err = s.PutRuntime(t.Context(), mesh.Runtime{Values: map[string]any{"count": count + 1}}, w)
		}
		if err == nil {
			c.accepted.Add(1)
			c.longest.Store(max(c.longest.Load(), int64(time.Since(start))))
			return
		}
		if mesh.KindOf(err) != mesh.KindConflict {
			t.Errorf("increment %s: %v", id, err)
			return
		}
	}
	t.Errorf("increment %s did not come about in 30 s", id)
}

// TestALeaderThatIsKilledLosesNothing kills the leader of three under writers
// and a watcher: writes go on within seconds, each acknowledged one is done
// exactly once, and the watch misses none.
func TestALeaderThatIsKilledLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three etcds: not with -short")
	}
	t.Parallel()
	members, endpoints := startCluster(t)
	var stores []*registry.Store
	for range 4 {
		s := must[*registry.Store](t)(registry.Open(t.Context(), registry.Config{Endpoints: endpoints}))
		t.Cleanup(func() { _ = s.Close() })
		stores = append(stores, s)
	}
	must[mesh.Runtime](t)(stores[0].PutRuntime(t.Context(), mesh.Runtime{Values: map[string]any{"count": 0.0}}, registry.Write{}))

	var mu sync.Mutex
	seen, diverged := []float64{}, 0
	w := watch(t, stores[0], registry.WatchConfig{RelistInterval: 200 * time.Millisecond, Diverged: func(n int) {
		mu.Lock()
		defer mu.Unlock()
		diverged += n
	}})
	var c counters
	c.start(t, stores[1:])
	eventually(t, func() bool { return c.accepted.Load() >= 20 }, func() string { return "no writes come about" })

	leader := members[0].Server.Lead()
	for _, m := range members {
		if uint64(m.Server.MemberID()) == leader {
			m.Server.HardStop()
		}
	}
	killed, before := time.Now(), c.accepted.Load()
	eventually(t, func() bool { return c.accepted.Load() >= before+20 }, func() string { return "no writes come about after the leader was killed" })
	t.Logf("20 increments after the kill took %s; %d were accepted, the longest took %s", time.Since(killed), c.accepted.Load(), time.Duration(c.longest.Load()))
	c.stop.Store(true)
	c.done.Wait()

	last := must[mesh.Runtime](t)(stores[1].Runtime(t.Context()))
	if got := last.Values["count"]; got != float64(c.accepted.Load()) {
		t.Errorf("counted to %v, but %d increments were acknowledged", got, c.accepted.Load())
	}
	// The stopped member still holds its connections: a watch on it is silent
	// until the watcher notices, and may find the same member again.
	eventuallyWithin(t, time.Minute, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.objects["runtime"] == last.Meta.Revision
	}, func() string { return "the watcher did not come up to date" })
	for _, b := range w.batches {
		for _, change := range b.Changes {
			count, _ := change.Runtime.Values["count"].(float64)
			seen = append(seen, count)
		}
	}
	// A watch that starts anew lists, and so skips to the latest; it never goes back.
	for i := range seen {
		if i > 0 && seen[i] <= seen[i-1] {
			t.Errorf("after %v the watch brought %v", seen[i-1], seen[i])
		}
	}
	if diverged != 0 {
		t.Errorf("the watch had missed %d changes", diverged)
	}
}
