package catalog_test

import (
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestChangesSayWhenTheOldestWasWritten(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	written := func(c mesh.Change, ago time.Duration) mesh.Change {
		switch {
		case c.Service != nil:
			c.Service.Meta.UpdatedAt = now.Add(-ago)
		case c.Instance != nil:
			c.Instance.Meta.UpdatedAt = now.Add(-ago)
		}
		return c
	}
	c := catalog.New(catalog.Config{Clock: func() time.Time { return now }})
	feed := c.Subscribe()
	defer feed.Close()
	next := func() time.Time {
		t.Helper()
		_, changes, err := feed.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return changes.Written
	}
	c.Apply(1, true, []mesh.Change{written(service("web"), time.Hour), written(instance("web", "a"), time.Hour)})
	if at := next(); !at.IsZero() {
		t.Errorf("the whole mesh, read for the first time, is dated %s", at)
	}
	for _, one := range []struct {
		name    string
		changes [][]mesh.Change
		ago     time.Duration
	}{
		{"one write", [][]mesh.Change{{written(service("web"), time.Second)}}, time.Second},
		{"the oldest of several", [][]mesh.Change{{written(service("web"), time.Second), written(instance("web", "b"), 3*time.Second)}}, 3 * time.Second},
		{"gathered while the reader was busy", [][]mesh.Change{{written(service("web"), 2*time.Second)}, {written(service("web"), time.Second)}}, 2 * time.Second},
		{"a deletion happens when it is told", [][]mesh.Change{{written(expired("web", "b"), time.Hour)}}, 0},
		{"a clock that is ahead", [][]mesh.Change{{written(service("web"), -time.Minute)}}, 0},
		{"an object without a date", [][]mesh.Change{{service("web")}}, 0},
	} {
		for i, changes := range one.changes {
			c.Apply(int64(i+2), true, changes)
		}
		if at := next(); !at.Equal(now.Add(-one.ago)) {
			t.Errorf("%s: dated %s, want %s ago", one.name, at, one.ago)
		}
	}
}
