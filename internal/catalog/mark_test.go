package catalog_test

import (
	"context"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestAViewGoesBackWithTheRegistry, and readers hear of it even if nothing else changed.
func TestAViewGoesBackWithTheRegistry(t *testing.T) {
	c := catalog.New(catalog.Config{})
	c.Apply(100, true, []mesh.Change{service("web")})
	before := c.View()
	feed := c.Subscribe()
	defer feed.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := feed.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	c.Apply(50, true, nil)
	now, _, err := feed.Wait(ctx)
	if err != nil || now.Revision() != 50 || !before.Mark().Before(now.Mark()) || now.Mark().Before(before.Mark()) {
		t.Fatalf("%v, at %+v after %+v", err, now.Mark(), before.Mark())
	}
	if _, err := c.At(ctx, before.Mark()); err != nil {
		t.Errorf("what was written before is waited for: %v", err)
	}
	next := catalog.Mark{Epoch: now.Mark().Epoch, Revision: 51}
	short, end := context.WithTimeout(ctx, 20*time.Millisecond)
	defer end()
	if _, err := c.At(short, next); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Errorf("what is written now is not waited for: %v", err)
	}
	c.Apply(51, true, []mesh.Change{service("orders")})
	if _, err := c.At(ctx, next); err != nil {
		t.Error(err)
	}
}
