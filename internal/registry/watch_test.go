package registry_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// watched is what a Watch has handed over so far, replayed.
type watched struct {
	mu      sync.Mutex
	batches []registry.Batch
	objects map[string]int64 // name → revision
}

func (w *watched) take(b registry.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = append(w.batches, b)
	for _, c := range b.Changes {
		name := nameOf(c)
		if c.Deleted {
			delete(w.objects, name)
			continue
		}
		w.objects[name] = c.Revision
	}
}

func nameOf(c mesh.Change) string {
	switch {
	case c.Service != nil:
		return "service/" + string(c.Service.Name)
	case c.Instance != nil:
		return "instance/" + c.Instance.Key().String()
	case c.Route != nil:
		return "route/" + string(c.Route.Name)
	}
	return "runtime"
}

func (w *watched) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name := range w.objects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// removed gives the instances that were marked as removed.
func (w *watched) removed() map[mesh.InstanceID]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	removed := map[mesh.InstanceID]bool{}
	for _, b := range w.batches {
		for _, c := range b.Changes {
			if c.Instance != nil && c.Instance.Health == mesh.Removed && !c.Deleted {
				removed[c.Instance.ID] = true
			}
		}
	}
	return removed
}

func (w *watched) revision(name string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.objects[name]
}

// description gives what was handed over last as a service's description.
func (w *watched) description(of mesh.ServiceName) (last string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.batches {
		for _, c := range b.Changes {
			if c.Service != nil && c.Service.Name == of {
				last = c.Service.Description
			}
		}
	}
	return last
}

func (w *watched) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.batches)
}

// watch runs a Watch for the length of a test.
func watch(t *testing.T, s *registry.Store, cfg registry.WatchConfig) *watched {
	t.Helper()
	w := &watched{objects: map[string]int64{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Watch(ctx, cfg, w.take)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

// eventually polls until ok, or fails after 30 s with what say says.
func eventually(t *testing.T, ok func() bool, say func() string) {
	t.Helper()
	eventuallyWithin(t, 30*time.Second, ok, say)
}

func eventuallyWithin(t *testing.T, limit time.Duration, ok func() bool, say func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal(say())
		}
		<-tick.C
	}
}

func (w *watched) wants(t *testing.T, names ...string) {
	t.Helper()
	slices.Sort(names)
	eventually(t, func() bool { return slices.Equal(w.names(), names) }, func() string {
		return fmt.Sprintf("the watcher knows %v, want %v", w.names(), names)
	})
}

// raw opens a client of etcd's own beside the store.
func raw(t *testing.T, e *registry.Embedded) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestWatchListsThenFollows(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	w := watch(t, s, registry.WatchConfig{})
	w.wants(t, "service/orders")
	must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1"), instance("orders", "2")}, time.Minute, registry.Write{}))
	must[mesh.Runtime](t)(s.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{"a.b": 1.0}}, registry.Write{}))
	must[string](t)(s.EnsureAdminToken(ctx)) // not part of the mesh
	w.wants(t, "instance/orders/1", "instance/orders/2", "runtime", "service/orders")
	for _, b := range w.batches {
		if !b.Synced || b.Reset {
			t.Errorf("batch %+v: want synced and no reset", b)
		}
	}
	if err := s.DeleteService(ctx, "orders", registry.Write{}); err != nil {
		t.Fatal(err)
	}
	w.wants(t, "instance/orders/1", "instance/orders/2", "runtime")
}

func TestAnEmptyRegistryIsSyncedToo(t *testing.T) {
	t.Parallel()
	w := watch(t, openStore(t), registry.WatchConfig{})
	eventually(t, func() bool { return w.count() == 1 }, func() string { return "no batch came for an empty registry" })
	if !w.batches[0].Synced {
		t.Error("the first complete list does not say that it is one")
	}
}

func TestDeregistrationIsToldFromAnExpiredLease(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	w := watch(t, s, registry.WatchConfig{})
	list := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "leaves"), instance("orders", "dies")}, registry.MinTTL, registry.Write{}))
	w.wants(t, "instance/orders/dies", "instance/orders/leaves")
	if err := s.Deregister(ctx, list[0].Key(), list[0].Epoch, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	w.wants(t)
	if removed := w.removed(); !removed["leaves"] || removed["dies"] {
		t.Errorf("marked as removed: %v, want only the one that left", removed)
	}
}

func TestAnOperatorConfirmsThatAnInstanceIsGone(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	w := watch(t, s, registry.WatchConfig{})
	eventually(t, func() bool { return w.count() == 1 }, func() string { return "not synced" })
	kept := instance("orders", "1")
	kept.Stale, kept.Epoch = true, "694d81b2c3e4f501"
	must[[]mesh.Instance](t)(s.ConfirmGone(t.Context(), []mesh.Instance{kept}, registry.Write{}))
	told := func() (changes []mesh.Change) { // in one batch or in two
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, b := range w.batches[1:] {
			changes = append(changes, b.Changes...)
		}
		return changes
	}
	eventually(t, func() bool { return len(told()) >= 2 }, func() string { return fmt.Sprintf("watchers were told %+v", told()) })
	if mark := told()[0].Instance; mark.Key() != kept.Key() || mark.Health != mesh.Removed || mark.Address != kept.Address || mark.Port != kept.Port {
		t.Errorf("watchers were told %+v", mark)
	}
	w.wants(t)
}

// TestADeleteOfWhatIsNotThereWritesNothing: it told watchers of an instance that
// never was.
func TestADeleteOfWhatIsNotThereWritesNothing(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	_, before, err := s.Instances(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	key := mesh.InstanceKey{Service: "orders", ID: "ghost"}
	wantKind(t, s.Deregister(ctx, key, "", registry.Write{}), mesh.KindNotFound)
	wantKind(t, s.Deregister(ctx, key, "1", registry.Write{}), mesh.KindNotFound)
	if _, after, err := s.Instances(ctx, ""); err != nil || after != before {
		t.Errorf("etcd went from revision %d to %d: %v", before, after, err)
	}
}

// TestNothingThatIsRegisteredIsConfirmedGone: it may have come back a moment ago.
func TestNothingThatIsRegisteredIsConfirmedGone(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	w := watch(t, s, registry.WatchConfig{})
	back := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "2")}, time.Minute, registry.Write{}))[0]
	w.wants(t, "instance/orders/2")
	kept := []mesh.Instance{instance("orders", "1"), instance("orders", "2"), instance("orders", "3")}
	gone := must[[]mesh.Instance](t)(s.ConfirmGone(ctx, kept, registry.Write{}))
	if len(gone) != 2 || gone[0].ID != "1" || gone[1].ID != "3" {
		t.Errorf("confirmed are %v, want 1 and 3", gone)
	}
	must[time.Duration](t)(s.Renew(ctx, back.Key(), back.Epoch))
	must[mesh.Service](t)(s.PutService(ctx, service("last"), registry.Write{}))
	w.wants(t, "instance/orders/2", "service/last")
	if removed := w.removed(); !removed["1"] || removed["2"] || !removed["3"] {
		t.Errorf("marked as removed: %v", removed)
	}
}

func TestWatchSurvivesCompactionWhileItIsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := must[*registry.Store](t)(etcd.Open(t.Context()))
	t.Cleanup(func() { _ = s.Close() })
	for _, name := range []string{"stays", "changes", "goes"} {
		must[mesh.Service](t)(s.PutService(t.Context(), service(name), registry.Write{}))
	}
	var down sync.Map
	w := watch(t, s, registry.WatchConfig{Down: func(err error) {
		if err != nil {
			down.Store("seen", true)
		}
	}})
	w.wants(t, "service/changes", "service/goes", "service/stays")
	before := w.count()

	// etcd goes away; meanwhile another client changes, deletes and compacts.
	etcd.Close()
	etcd, err = registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: filepath.Join(dir, "elsewhere")})
	if err != nil {
		t.Fatal(err)
	}
	etcd.Close()
	etcd, other := startEtcd(t, dir)
	must[mesh.Service](t)(other.PutService(t.Context(), service("changes", "stays"), registry.Write{}))
	if err := other.DeleteService(t.Context(), "goes", registry.Write{}); err != nil {
		t.Fatal(err)
	}
	last := must[mesh.Service](t)(other.PutService(t.Context(), service("new"), registry.Write{}))
	if _, err := raw(t, etcd).Compact(t.Context(), last.Meta.Revision); err != nil {
		t.Fatal(err)
	}
	w.wants(t, "service/changes", "service/new", "service/stays")
	for _, b := range w.batches[before:] {
		for _, c := range b.Changes {
			if nameOf(c) == "service/stays" {
				t.Error("what did not change was handed over again")
			}
		}
	}
}

func TestACompactedRevisionMakesFollowBeginAnew(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	first := must[mesh.Service](t)(s.PutService(t.Context(), service("a"), registry.Write{}))
	must[mesh.Service](t)(s.PutService(t.Context(), service("b"), registry.Write{}))
	last := must[mesh.Service](t)(s.PutService(t.Context(), service("c"), registry.Write{}))

	enough := errors.New("enough")
	follow := func(from int64, stopAfter int) (changes []string, reset bool) {
		err := s.Follow(t.Context(), from, func(b registry.Batch) error {
			reset = reset || b.Reset
			for _, c := range b.Changes {
				changes = append(changes, nameOf(c))
			}
			if len(changes) >= stopAfter {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		return changes, reset
	}
	if got, reset := follow(first.Meta.Revision, 2); reset || !slices.Equal(got, []string{"service/b", "service/c"}) {
		t.Errorf("after the first: %v (reset %v)", got, reset)
	}
	if _, err := raw(t, etcd).Compact(t.Context(), last.Meta.Revision); err != nil {
		t.Fatal(err)
	}
	if got, reset := follow(first.Meta.Revision, 3); !reset || len(got) != 3 {
		t.Errorf("after the compaction: %v (reset %v), want everything anew", got, reset)
	}
}

func TestCorruptValuesAreSetAsideAndTheLastGoodOneStays(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	put := func(key, value string) {
		t.Helper()
		if _, err := client.Put(ctx, key, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"noise":   "\x00\xff{",
		"list":    "[]",
		"another": `{"name":"elsewhere","owner":"a","protocol":"http","port":80,"dependencies":[]}`,
		"invalid": `{"name":"invalid","owner":"a","protocol":"http","port":99999,"dependencies":[]}`,
	} {
		put("/heddle/v1/services/"+name, value)
	}
	good := `{"name":"good","owner":"a","protocol":"http","port":80,"dependencies":[],"fieldOfALaterVersion":{"x":1}}`
	put("/heddle/v1/services/good", good)
	put("/heddle/v1/instances/noslash", good)
	w := watch(t, s, registry.WatchConfig{})
	w.wants(t, "service/good")
	if got := len(s.Quarantined()); got != 5 {
		t.Errorf("%d values are set aside, want 5: %+v", got, s.Quarantined())
	}

	put("/heddle/v1/services/good", "not JSON")
	eventually(t, func() bool { return len(s.Quarantined()) == 6 }, func() string { return "the corrupt change was not noticed" })
	w.wants(t, "service/good") // the last good one stays
	for _, q := range s.Quarantined() {
		if q.Reason == "" || q.Revision == 0 || !strings.HasPrefix(q.Key, "/heddle/v1/") {
			t.Errorf("not told what is wrong: %+v", q)
		}
	}
	_, err := s.Service(ctx, "good")
	wantKind(t, err, mesh.KindUnavailable)

	put("/heddle/v1/services/good", good)
	eventually(t, func() bool { return len(s.Quarantined()) == 5 }, func() string { return "the mended value is still set aside" })
	must[mesh.Service](t)(s.PutService(ctx, service("noise"), registry.Write{})) // written anew
	w.wants(t, "service/good", "service/noise")
	if _, err := client.Delete(ctx, "/heddle/v1/services/good"); err != nil {
		t.Fatal(err)
	}
	w.wants(t, "service/noise")
}

// TestAnUpgradeTakesNothingAway: what an older Heddle took and this one refuses
// is served, kept by its owner, and told; writing it anew is refused.
func TestAnUpgradeTakesNothingAway(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	lease := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 60)).ID
	old := mesh.Instance{ID: "1", Service: "orders", Address: "0.0.0.0", Port: 80, Epoch: fmt.Sprintf("%x", int64(lease))}
	must[*clientv3.PutResponse](t)(client.Put(ctx, "/heddle/v1/instances/orders/1", `{"id":"1","service":"orders","address":"0.0.0.0","port":80,"epoch":"`+old.Epoch+`"}`, clientv3.WithLease(lease)))
	must[*clientv3.PutResponse](t)(client.Put(ctx, "/heddle/v1/services/old", `{"name":"old","owner":"a","protocol":"http","port":80,"dependencies":[],
		"endpoints":{"static":[{"address":"224.0.0.1","port":80}]},"routes":[{"match":{"path":{"prefix":"/a/../b"}}}]}`))
	w := watch(t, s, registry.WatchConfig{})
	w.wants(t, "instance/orders/1", "service/old")
	told := s.Quarantined()
	if len(told) != 2 || !told[0].InUse || !strings.Contains(told[0].Reason, "0.0.0.0") || !told[1].InUse || !strings.Contains(told[1].Reason, "multicast") || !strings.Contains(told[1].Reason, "never matches") {
		t.Errorf("told is %+v", told)
	}

	must[mesh.Service](t)(s.Service(ctx, "old"))
	must[time.Duration](t)(s.Renew(ctx, old.Key(), old.Epoch))
	must[mesh.Instance](t)(s.SetHealth(ctx, old.Key(), old.Epoch, mesh.Draining, registry.Write{}))
	_, err := s.Register(ctx, []mesh.Instance{old}, time.Minute, registry.Write{})
	wantKind(t, err, mesh.KindInvalid)
	if err := s.Deregister(ctx, old.Key(), old.Epoch, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	must[mesh.Service](t)(s.PutService(ctx, service("old"), registry.Write{}))
	eventually(t, func() bool { return len(s.Quarantined()) == 0 }, func() string { return "what was mended is still told" })
	w.wants(t, "service/old")
}

func TestTheMirrorIsProvedAgainstFullLists(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	missed := make(chan int, 100)
	w := watch(t, s, registry.WatchConfig{RelistInterval: 20 * time.Millisecond, Diverged: func(n int) { missed <- n }})
	for i := range 200 {
		must[mesh.Service](t)(s.PutService(t.Context(), service(fmt.Sprintf("s%d", i%7)), registry.Write{}))
	}
	w.wants(t, "service/s0", "service/s1", "service/s2", "service/s3", "service/s4", "service/s5", "service/s6")
	if len(missed) > 0 {
		t.Errorf("the mirror was said to differ from etcd by %d objects, though nothing was missed", <-missed)
	}
}

func TestAnEtcdThatIsAwayIsSaidToBeInBoundedTime(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	secret := must[string](t)(s.EnsureAdminToken(t.Context()))
	must[registry.Token](t)(s.Authenticate(t.Context(), secret))
	etcd.Close()
	start := time.Now()
	_, err := s.PutService(t.Context(), service("orders"), registry.Write{})
	wantKind(t, err, mesh.KindUnavailable)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s to say so", took)
	}
	if _, err := s.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("a token that was used before is no longer known: %v", err)
	}
	_, err = registry.Open(t.Context(), registry.Config{Endpoints: []string{"127.0.0.1:1"}, Timeout: 300 * time.Millisecond})
	wantKind(t, err, mesh.KindUnavailable)
}

// TestAServiceThatCannotBeReadIsToldFromNone: its callers were told that nobody
// had declared it.
func TestAServiceThatCannotBeReadIsToldFromNone(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	const key = "/heddle/v1/services/orders"
	if _, err := client.Put(ctx, key, "[]"); err != nil {
		t.Fatal(err)
	}
	w := watch(t, s, registry.WatchConfig{})
	last := func(deleted, unreadable bool) func() bool {
		return func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.batches) == 0 || len(w.batches[len(w.batches)-1].Changes) != 1 {
				return false
			}
			c := w.batches[len(w.batches)-1].Changes[0]
			return c.Service != nil && c.Service.Name == "orders" && c.Deleted == deleted && c.Unreadable == unreadable
		}
	}
	eventually(t, last(true, true), func() string { return "not told that it cannot be read" })
	if _, err := client.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	eventually(t, last(true, false), func() string { return "not told that it is gone" })
	if _, err := client.Put(ctx, key, "[]"); err != nil {
		t.Fatal(err)
	}
	eventually(t, last(true, true), func() string { return "not told that it cannot be read again" })
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{}))
	eventually(t, last(false, false), func() string { return "not told that it was written anew" })
}
