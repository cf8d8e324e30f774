package catalog_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func authorizer(id string, deleted bool) []mesh.Change {
	return []mesh.Change{{Authorizer: &mesh.Authorizer{ID: id, Address: "10.0.0.1", Port: 18001}, Deleted: deleted}}
}

// authorizers lists their IDs, the stale ones with a "?" behind.
func authorizers(c *catalog.Catalog) []string {
	out := []string{}
	for _, a := range c.View().Authorizers() {
		id := a.ID
		if a.Stale {
			id += "?"
		}
		out = append(out, id)
	}
	return out
}

func TestTheLastAuthorizerIsNotForgotten(t *testing.T) {
	c := catalog.New(catalog.Config{})
	for i, step := range []struct {
		change []mesh.Change
		want   []string
	}{
		{authorizer("b", false), []string{"b"}},
		{authorizer("a", false), []string{"a", "b"}},
		{authorizer("a", true), []string{"b"}},
		{authorizer("b", true), []string{"b?"}},
		{authorizer("c", true), []string{"b?"}},
		{authorizer("c", false), []string{"c"}},
		{authorizer("c", true), []string{"c?"}},
		{authorizer("c", false), []string{"c"}},
	} {
		before := authorizers(c)
		view := c.View()
		c.Apply(int64(i+1), true, step.change)
		if got := authorizers(c); !slices.Equal(got, step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
		if after := len(view.Authorizers()); after != len(before) {
			t.Errorf("step %d: the view of before has %d authorizers now, and had %d", i, after, len(before))
		}
	}
}

func TestTokenKeysComeAndGo(t *testing.T) {
	c := catalog.New(catalog.Config{})
	feed := c.Subscribe()
	defer feed.Close()
	c.Apply(1, true, []mesh.Change{{TokenKeys: &mesh.TokenKeys{Issuer: "https://mesh"}}})
	view, changes, err := feed.Wait(t.Context())
	if err != nil || !changes.Trust || view.TokenKeys().Issuer != "https://mesh" {
		t.Fatalf("keys %+v, changes %+v, %v", view.TokenKeys(), changes, err)
	}
	c.Apply(2, true, []mesh.Change{{TokenKeys: &mesh.TokenKeys{}, Deleted: true}})
	if c.View().TokenKeys() != nil {
		t.Error("deleted keys are still there")
	}
}

func TestWhoseCallersChangedIsTold(t *testing.T) {
	c := catalog.New(catalog.Config{})
	feed := c.Subscribe()
	defer feed.Close()
	shop := func(deleted bool, services ...mesh.ServiceName) mesh.Change {
		r := &mesh.Route{Name: "shop"}
		for _, name := range services {
			r.Backends = append(r.Backends, mesh.WeightedBackend{Service: name, Weight: 1})
		}
		return mesh.Change{Route: r, Deleted: deleted}
	}
	gone := service("web")
	gone.Deleted = true
	if _, _, err := feed.Wait(t.Context()); err != nil { // the present view
		t.Fatal(err)
	}
	for i, step := range []struct {
		change mesh.Change
		want   []mesh.ServiceName
	}{
		{service("web", "a", "b"), []mesh.ServiceName{"a", "b"}},
		{service("web", "b", "c"), []mesh.ServiceName{"a", "c"}},
		{service("web", "c", "b"), nil},
		{gone, []mesh.ServiceName{"b", "c"}},
		{shop(false, "a"), []mesh.ServiceName{"a"}},
		{shop(false, "b"), []mesh.ServiceName{"a", "b"}},
		{shop(true), []mesh.ServiceName{"b"}},
	} {
		c.Apply(int64(i+1), true, []mesh.Change{step.change})
		_, changes, err := feed.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(changes.Callers)); !slices.Equal(got, step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}
