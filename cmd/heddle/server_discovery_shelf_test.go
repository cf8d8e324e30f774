package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// shelved is a shelf in a real registry, whose watch can be made to hang.
type shelved struct {
	node  *serverNode
	shelf *vmShelf
	watch sync.Mutex // held: it hangs
}

func openShelf(t *testing.T, dir string) (*registry.Embedded, *registry.Store) {
	t.Helper()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return etcd, store
}

func newShelved(t *testing.T, store *registry.Store) *shelved {
	s := &shelved{node: &serverNode{store: store, catalog: catalog.New(catalog.Config{})}}
	s.shelf = &vmShelf{node: s.node}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		store.Watch(ctx, registry.WatchConfig{}, func(b registry.Batch) {
			s.watch.Lock()
			defer s.watch.Unlock()
			s.node.catalog.Apply(b.Revision, b.Synced, b.Changes)
		})
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// put writes a machine in a term of its own.
func (s *shelved) put(t *testing.T, state string) {
	t.Helper()
	var err error
	ctx, end := context.WithTimeout(t.Context(), 30*time.Second)
	defer end()
	done := false
	s.node.store.Lead(ctx, registry.DiscoveryOffice, "here", func(ctx context.Context, term registry.Term) {
		s.shelf.term, done = term, true
		_, err = s.shelf.Write(ctx, []mesh.VM{{Source: "az", ID: "a", Name: state, State: mesh.VMRunning, Health: mesh.VMHealthUnknown}}, nil)
		end()
	})
	if err != nil || !done {
		t.Fatal("it was not written: ", err)
	}
}

// known is the machine's name as the next refresh is told.
func (s *shelved) known(within time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	known, err := s.shelf.Known(ctx, "az")
	for _, vm := range known {
		return vm.Name, err
	}
	return "", err
}

// TestARefreshSeesWhatWasWritten also when the watch hangs for long: a machine that is
// again as it was before would else not be written.
func TestARefreshSeesWhatWasWritten(t *testing.T) {
	t.Parallel()
	_, store := openShelf(t, t.TempDir())
	s := newShelved(t, store)
	s.put(t, "one")
	if got, err := s.known(10 * time.Second); got != "one" {
		t.Fatal(got, err)
	}
	s.watch.Lock()
	s.put(t, "two")
	for range 3 {
		if got, err := s.known(100 * time.Millisecond); mesh.KindOf(err) != mesh.KindUnavailable {
			t.Errorf("while the watch hangs it is told of %q, %v", got, err)
		}
	}
	s.watch.Unlock()
	if got, err := s.known(10 * time.Second); got != "two" {
		t.Error(got, err)
	}
}

// TestARefreshOfARestoredRegistry sees what is there then, and waits for what it writes.
func TestARefreshOfARestoredRegistry(t *testing.T) {
	t.Parallel()
	dir, backup := t.TempDir(), t.TempDir()
	data, kept := filepath.Join(dir, "etcd"), filepath.Join(backup, "etcd")
	etcd, store := openShelf(t, dir)
	newShelved(t, store).put(t, "old")
	_ = store.Close()
	etcd.Close()
	if err := os.CopyFS(kept, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	etcd, store = openShelf(t, dir)
	s := newShelved(t, store)
	for range 20 {
		s.put(t, "lost")
	}
	if got, err := s.known(10 * time.Second); got != "lost" {
		t.Fatal(got, err)
	}
	before := s.node.catalog.View().Mark()
	etcd.Close()
	if err := errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(kept))); err != nil {
		t.Fatal(err)
	}
	openShelf(t, dir)
	for deadline := time.Now().Add(30 * time.Second); s.node.catalog.View().Mark().Epoch == before.Epoch; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the view does not go back")
		}
	}
	if got, err := s.known(time.Second); got != "old" || s.node.catalog.View().Revision() >= before.Revision {
		t.Fatalf("restored to before %+v it has %q, %v at %+v", before, got, err, s.node.catalog.View().Mark())
	}
	s.watch.Lock()
	s.put(t, "new")
	if got, err := s.known(100 * time.Millisecond); err == nil {
		t.Errorf("before the watch has it, it is told of %q", got)
	}
	s.watch.Unlock()
	if got, err := s.known(10 * time.Second); got != "new" {
		t.Error(got, err)
	}
}
