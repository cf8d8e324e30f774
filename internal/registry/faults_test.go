package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// TestAReaderThatWasFarBehindMissesNothing breaks off in the middle of catching
// up, and comes again with the revision that it was given: etcd hands over what
// was missed in pieces, whose headers all carry the present revision.
func TestAReaderThatWasFarBehindMissesNothing(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	const count = 2500
	first := must[mesh.Service](t)(s.PutService(ctx, service("first"), registry.Write{}))
	for i := range count {
		name := fmt.Sprintf("s%d", i)
		if _, err := client.Put(ctx, "/heddle/v1/services/"+name, `{"name":"`+name+`","owner":"a","protocol":"http","port":80,"dependencies":[]}`); err != nil {
			t.Fatal(err)
		}
	}
	seen, from, brokeOff := map[string]bool{}, first.Meta.Revision, errors.New("broke off")
	for len(seen) < count {
		before := len(seen)
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := s.Follow(ctx, from, func(b registry.Batch) error {
			for _, c := range b.Changes {
				seen[nameOf(c)] = true
			}
			from = b.Revision
			return brokeOff
		})
		cancel()
		if !errors.Is(err, brokeOff) || len(seen) == before {
			t.Fatalf("after %d of %d changes nothing more came, from revision %d on: %v", len(seen), count, from, err)
		}
	}
}

func TestTheWatcherSaysThatEtcdIsAwayAndBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd, s := startEtcd(t, dir)
	var mu sync.Mutex
	var told []bool
	w := watch(t, s, registry.WatchConfig{Down: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err != nil)
	}})
	away := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) > 0 && told[len(told)-1]
	}
	// Synced is not enough: etcd's client does not come back with a watch that it
	// could not make, before etcd is back.
	followed := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) > 0 && !told[len(told)-1]
	}
	eventually(t, func() bool { return w.count() == 1 && followed() }, func() string { return "not followed" })
	etcd.Close()
	eventually(t, away, func() string { return "nobody was told that etcd is away" })
	startEtcd(t, dir)
	eventually(t, followed, func() string { return "nobody was told that etcd is back" })
}

func TestAWatcherTakesOverAnotherHistoryOfEtcd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd, s := startEtcd(t, dir)
	for range 20 {
		must[mesh.Service](t)(s.PutService(t.Context(), service("old"), registry.Write{}))
	}
	w := watch(t, s, registry.WatchConfig{})
	w.wants(t, "service/old")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	follower, followed := &watched{objects: map[string]int64{}}, make(chan error, 1)
	etcd.Close()
	if err := os.RemoveAll(filepath.Join(dir, "etcd")); err != nil { // restored from nothing
		t.Fatal(err)
	}
	_, other := startEtcd(t, dir)
	must[mesh.Service](t)(other.PutService(t.Context(), service("new"), registry.Write{}))
	w.wants(t, "service/new")
	go func() {
		followed <- s.Follow(ctx, 20, func(b registry.Batch) error { follower.take(b); return nil })
	}()
	follower.wants(t, "service/new")
	must[mesh.Service](t)(other.PutService(t.Context(), service("newer"), registry.Write{}))
	w.wants(t, "service/new", "service/newer")
	cancel()
	<-followed //nolint:errcheck // it was told to end
}

// The other history is longer than the one that the watcher knows, so that no
// revision tells it apart.
func TestAWatcherTakesOverALongerHistoryOfEtcd(t *testing.T) {
	t.Parallel()
	takeOver(t, func(away <-chan struct{}) { <-away })
}

// And etcd was never seen to be away.
func TestAWatcherTakesOverAHistoryThatWasReplacedQuickly(t *testing.T) {
	t.Parallel()
	takeOver(t, func(<-chan struct{}) {})
}

func takeOver(t *testing.T, notice func(away <-chan struct{})) {
	t.Helper()
	longer := t.TempDir()
	etcd, other := startEtcd(t, longer)
	both := service("both") // at the same revision in both histories
	both.Description = "of the longer"
	must[mesh.Service](t)(other.PutService(t.Context(), both, registry.Write{}))
	must[mesh.Service](t)(other.PutService(t.Context(), service("new"), registry.Write{}))
	for range 20 {
		must[mesh.Service](t)(other.PutService(t.Context(), service("newer"), registry.Write{}))
	}
	_ = other.Close()
	etcd.Close()

	dir := t.TempDir()
	etcd, s := startEtcd(t, dir)
	must[mesh.Service](t)(s.PutService(t.Context(), service("both"), registry.Write{}))
	for range 5 {
		must[mesh.Service](t)(s.PutService(t.Context(), service("old"), registry.Write{}))
	}
	away := make(chan struct{}, 100)
	w := watch(t, s, registry.WatchConfig{Down: func(err error) {
		if err != nil {
			away <- struct{}{}
		}
	}})
	w.wants(t, "service/both", "service/old")
	revision := w.revision("service/both")
	etcd.Close()
	notice(away)
	if err := os.RemoveAll(filepath.Join(dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "etcd"), os.DirFS(filepath.Join(longer, "etcd"))); err != nil {
		t.Fatal(err)
	}
	startEtcd(t, dir)
	w.wants(t, "service/both", "service/new", "service/newer")
	if got := w.revision("service/both"); got != revision {
		t.Fatalf("the service that both histories have is at revision %d and %d; it should be the same", revision, got)
	}
	if got := w.description("both"); got != both.Description {
		t.Errorf("the service that both histories have at the same revision has the description %q, want %q", got, both.Description)
	}
}

// Nor tell revision and term it apart: the backup was written to as often as the
// etcd that it replaces, and has chosen a leader as often.
func TestAWatcherTakesOverAHistoryOfTheSameLengthAndTerm(t *testing.T) {
	t.Parallel()
	dir, backup := t.TempDir(), t.TempDir()
	etcd, s := startEtcd(t, dir)
	must[mesh.Service](t)(s.PutService(t.Context(), service("both"), registry.Write{}))
	_ = s.Close()
	etcd.Close()
	data, kept := filepath.Join(dir, "etcd"), filepath.Join(backup, "etcd")
	if err := os.CopyFS(kept, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	etcd, s = startEtcd(t, dir)
	must[mesh.Service](t)(s.PutService(t.Context(), service("lost"), registry.Write{}))
	w := watch(t, s, registry.WatchConfig{})
	w.wants(t, "service/both", "service/lost")
	etcd.Close()
	if err := errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(kept))); err != nil {
		t.Fatal(err)
	}
	_, other := startEtcd(t, dir)
	must[mesh.Service](t)(other.PutService(t.Context(), service("new"), registry.Write{}))
	w.wants(t, "service/both", "service/new")
}

// Also if it goes between the list and the watch, which then cannot be opened.
func TestAnEtcdThatGoesBeforeTheWatchIsSaidToBeAway(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	away, ended := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(ended)
		s.Watch(ctx, registry.WatchConfig{Down: func(err error) {
			if err != nil {
				away <- struct{}{}
			}
		}}, func(registry.Batch) { etcd.Close() })
	}()
	select {
	case <-away:
	case <-time.After(30 * time.Second):
		t.Error("nobody is told that etcd is away")
	}
	cancel()
	<-ended
}

func TestAnEtcdWithOpenWatchesStopsAtOnce(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	w := watch(t, s, registry.WatchConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := raw(t, etcd).Watch(ctx, "x", clientv3.WithCreatedNotify())
	<-answers
	eventually(t, func() bool { return w.count() == 1 }, func() string { return "not synced" })
	start := time.Now()
	etcd.Close()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestOtherUsersCannotReachEtcd(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	startEtcd(t, dir)
	for _, name := range []string{"", "lock", "etcd", "etcd.sock", "peer.sock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q has mode %v", name, info.Mode())
		}
	}
}

// cutOff registers an instance and marks it as removed, as a server does that
// is killed in the middle of a deregistration.
func cutOff(t *testing.T, etcd *registry.Embedded, s *registry.Store) mesh.Instance {
	t.Helper()
	one := must[[]mesh.Instance](t)(s.Register(t.Context(), []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))[0]
	lease := clientv3.LeaseID(0)
	if _, err := fmt.Sscanf(one.Epoch, "%x", &lease); err != nil {
		t.Fatal(err)
	}
	value := `{"id":"1","service":"orders","address":"127.0.0.1","port":8080,"health":"removed","epoch":"` + one.Epoch + `"}`
	if _, err := raw(t, etcd).Put(t.Context(), "/heddle/v1/instances/orders/1", value, clientv3.WithLease(lease)); err != nil {
		t.Fatal(err)
	}
	return one
}

func TestADeregistrationThatWasCutOffIsNotRenewedForEver(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	one := cutOff(t, etcd, s)
	_, err := s.Renew(t.Context(), one.Key(), one.Epoch)
	wantKind(t, err, mesh.KindNotFound)
	_, err = s.SetHealth(t.Context(), one.Key(), one.Epoch, mesh.Draining, registry.Write{})
	wantKind(t, err, mesh.KindNotFound)
	if list := must[[]mesh.Instance](t)(instancesOf(t.Context(), s)); len(list) != 0 {
		t.Errorf("it is still listed: %v", list)
	}
	if err := s.Deregister(t.Context(), one.Key(), one.Epoch, registry.Write{}); err != nil { // finishes it
		t.Fatal(err)
	}
	must[[]mesh.Instance](t)(s.Register(t.Context(), []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{Create: true}))
}

// TestADeregistrationLeavesTheNextRegistrationAlone lets owners come and go; a
// registration that was answered is there until its own owner removes it.
func TestADeregistrationLeavesTheNextRegistrationAlone(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	key := mesh.InstanceKey{Service: "orders", ID: "1"}
	for range 100 {
		must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))
		done := make(chan error, 1)
		go func() { done <- s.Deregister(ctx, key, "", registry.Write{}) }()
		next := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))[0]
		if err := <-done; err != nil && mesh.KindOf(err) != mesh.KindConflict {
			t.Fatal(err)
		}
		list := must[[]mesh.Instance](t)(instancesOf(ctx, s))
		if len(list) == 1 {
			continue // the deregistration came first, or gave way
		}
		// It removed the second one: then as a whole, lease included.
		_, err := s.Renew(ctx, key, next.Epoch)
		wantKind(t, err, mesh.KindNotFound)
	}
}

func TestHealthIsSetByManyAtOnce(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	one := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))[0]
	var group sync.WaitGroup
	for _, health := range slices.Repeat([]mesh.Health{mesh.Draining, mesh.Healthy}, 4) {
		group.Go(func() {
			if _, err := s.SetHealth(ctx, one.Key(), one.Epoch, health, registry.Write{}); err != nil {
				t.Errorf("a writer that gave no revision was refused: %v", err)
			}
		})
	}
	group.Wait()
}

func TestARequestIDMakesHealthAndRemovalHappenOnce(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	one := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))[0]
	drain := registry.Write{Author: "ada", RequestID: "drain"}
	first := must[mesh.Instance](t)(s.SetHealth(ctx, one.Key(), one.Epoch, mesh.Draining, drain))
	must[mesh.Instance](t)(s.SetHealth(ctx, one.Key(), one.Epoch, mesh.Healthy, registry.Write{}))
	again := must[mesh.Instance](t)(s.SetHealth(ctx, one.Key(), one.Epoch, mesh.Draining, drain))
	if again.Health != first.Health || again.Meta.Revision != first.Meta.Revision {
		t.Errorf("repeated it gave %+v, first %+v", again, first)
	}
	_, err := s.SetHealth(ctx, one.Key(), one.Epoch, mesh.Unhealthy, drain)
	wantKind(t, err, mesh.KindConflict)
	gone := registry.Write{Author: "ada", RequestID: "gone"}
	for range 2 {
		if err := s.Deregister(ctx, one.Key(), one.Epoch, gone); err != nil {
			t.Fatalf("repeated, the removal failed: %v", err)
		}
	}
	must[mesh.Instance](t)(s.SetHealth(ctx, one.Key(), one.Epoch, mesh.Draining, drain))
}

func TestOnlyARemovalTouchesACorruptInstance(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	if _, err := raw(t, etcd).Put(t.Context(), "/heddle/v1/instances/orders/1", "not JSON"); err != nil {
		t.Fatal(err)
	}
	key := mesh.InstanceKey{Service: "orders", ID: "1"}
	_, err := s.SetHealth(t.Context(), key, "", mesh.Healthy, registry.Write{})
	wantKind(t, err, mesh.KindUnavailable)
	if err := s.Deregister(t.Context(), key, "", registry.Write{}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.Deregister(t.Context(), key, "", registry.Write{}), mesh.KindNotFound)
}

// TestRequestIDsShareALease keeps a busy registry from holding a lease for each
// request of the day.
func TestRequestIDsShareALease(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	client, ctx := raw(t, etcd), t.Context()
	write := func(id string) {
		t.Helper()
		must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{RequestID: id}))
	}
	for i := range 10 {
		write(fmt.Sprint(i))
	}
	leases := must[*clientv3.LeaseLeasesResponse](t)(client.Leases(ctx))
	if len(leases.Leases) != 1 {
		t.Fatalf("10 requests hold %d leases", len(leases.Leases))
	}
	if _, err := client.Revoke(ctx, leases.Leases[0].ID); err != nil { // as in an etcd that was set up anew
		t.Fatal(err)
	}
	write("after")
}

// TestARegistrationWhoseAnswerWasLostIsThereWhenRepeated cuts off the caller at
// all moments: what the repetition is told to be registered has to be so.
func TestARegistrationWhoseAnswerWasLostIsThereWhenRepeated(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	for i := range 150 {
		w := registry.Write{Author: "ada", RequestID: fmt.Sprint(i)}
		list := []mesh.Instance{instance("orders", fmt.Sprint(i))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		_, _ = s.Register(ctx, list, time.Minute, w) // done, half done or not at all
		cancel()
		one := must[[]mesh.Instance](t)(s.Register(t.Context(), list, time.Minute, w))[0]
		if _, err := s.Renew(t.Context(), one.Key(), one.Epoch); err != nil {
			t.Fatalf("cut off after %d µs: %v", i*20, err)
		}
	}
}
