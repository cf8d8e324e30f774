package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestWhatWasShownInPartIsShownAgain: a write that fails in the middle neither leaves
// a server out nor old rows behind.
func TestWhatWasShownInPartIsShownAgain(t *testing.T) {
	etcd, err := StartEmbedded(t.Context(), EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	s, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reader, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	of := func(name string, size int) mesh.Sightings {
		return mesh.Sightings{Reporter: name, Rows: []mesh.Sighting{{Peer: strings.Repeat("p", size)}}}
	}
	shown := func(want ...string) {
		t.Helper()
		live, err := reader.Live(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, is := live["a"]
		if !is || len(rows) != len(want) {
			t.Fatalf("%v, %d rows, want %q", is, len(rows), want)
		}
		for i, name := range want {
			if rows[i].Reporter != name {
				t.Errorf("%s, want %s", rows[i].Reporter, name)
			}
		}
	}
	huge := of("huge", 8<<20) // no request may be as large
	if err := s.PublishLive(t.Context(), "a", []mesh.Sightings{huge}); err == nil {
		t.Fatal("it was taken")
	}
	if err := s.PublishLive(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	shown()
	if err := s.PublishLive(t.Context(), "a", []mesh.Sightings{of("one", chunkSize), of("two", chunkSize), huge}); err == nil {
		t.Fatal("it was taken")
	}
	if err := s.PublishLive(t.Context(), "a", []mesh.Sightings{of("three", 1)}); err != nil {
		t.Fatal(err)
	}
	shown("three")
}

// TestOnlyWhatMovedIsRead: a turn in which nothing was saved or shown reads no values.
func TestOnlyWhatMovedIsRead(t *testing.T) {
	etcd, err := StartEmbedded(t.Context(), EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	stores := [2]*Store{}
	for i := range stores {
		if stores[i], err = etcd.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer stores[i].Close()
	}
	a, b := stores[0], stores[1]
	known := func(string) bool { return true }
	save := func(name string) {
		t.Helper()
		if _, err := a.SaveSightings(t.Context(), mesh.Sightings{Reporter: name}, 10, known, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	revision := int64(0)
	saved := func(all int, want ...string) {
		t.Helper()
		changed, n, at, err := b.SavedSightings(t.Context(), revision)
		if err != nil || n != all || len(changed) != len(want) {
			t.Fatalf("%+v, %d in all, %v; want %q", changed, n, err, want)
		}
		for i, name := range want {
			if changed[i].Reporter != name {
				t.Errorf("%s, want %s", changed[i].Reporter, name)
			}
		}
		revision = at
	}
	save("web")
	save("orders")
	saved(2, "orders", "web")
	saved(2)
	save("web")
	saved(2, "web")
	if err := a.DropSightings(t.Context(), []string{"web", "gone"}); err != nil {
		t.Fatal(err)
	}
	saved(1)

	show := func(rows []mesh.Sightings, want int) {
		t.Helper()
		if err := a.PublishLive(t.Context(), "a", rows); err != nil {
			t.Fatal(err)
		}
		live, err := b.Live(t.Context())
		if err != nil || len(live["a"]) != want {
			t.Fatalf("%+v %v", live, err)
		}
	}
	show([]mesh.Sightings{{Reporter: "web"}}, 1)
	if _, err := a.client.Put(t.Context(), livePrefix+"a/00", "[]"); err != nil { // not as a server does
		t.Fatal(err)
	}
	show(nil, 1) // so it was not read
	show([]mesh.Sightings{{Reporter: "web"}, {Reporter: "orders"}}, 2)
	if own, err := a.Live(t.Context()); err != nil || len(own) != 0 {
		t.Errorf("its own is read: %+v %v", own, err)
	}
}
