package ui

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/picture"
)

// part is what is shown of the mesh; the zero part is all of it.
type part struct {
	focus string
	depth int // how many calls away from the focus
}

// drawing is how a part is drawn.
type drawing struct {
	part
	page  bool // it is for a page, where nodes are links, which show links calls around them
	links int
}

func partOf(query url.Values) part {
	if focus := strings.TrimSpace(query.Get("focus")); focus != "" {
		return part{focus, depthOf(query)}
	}
	return part{}
}

// seenCalls are what proxies saw of calls; none if nobody gathers them. As others wait
// for what is made of it, it does not end with the request that asked first.
func (u *UI) seenCalls(ctx context.Context) (insight.Observed, error) {
	if u.cfg.Observed == nil {
		return insight.Observed{}, nil
	}
	return u.cfg.Observed(context.WithoutCancel(ctx))
}

// part is the topology of a part of the mesh, without a layout.
func (u *UI) part(ctx context.Context, view *catalog.View, now time.Time, what part) (mesh.Topology, error) {
	return u.parts.get(view, now, what, func() (mesh.Topology, error) {
		seen, err := u.seenCalls(ctx)
		if err != nil {
			return mesh.Topology{}, err
		}
		return insight.Topology(view, seen, insight.TopologyOptions{Focus: what.focus, Depth: what.depth, Now: now})
	})
}

// laid is the same with a layout.
func (u *UI) laid(ctx context.Context, view *catalog.View, now time.Time, what part) (mesh.Topology, error) {
	return u.laidOut.get(view, now, what, func() (mesh.Topology, error) {
		t, err := u.part(ctx, view, now, what)
		if err != nil {
			return t, err
		}
		t.Nodes, t.Edges = slices.Clone(t.Nodes), slices.Clone(t.Edges) // the layout is written into them
		insight.Layout(&t)
		return t, nil
	})
}

// picture is it drawn.
func (u *UI) picture(ctx context.Context, view *catalog.View, now time.Time, what drawing) ([]byte, error) {
	return u.pictures.get(view, now, what, func() ([]byte, error) {
		t, err := u.laid(ctx, view, now, what.part)
		if err != nil {
			return nil, err
		}
		o := picture.Options{Page: what.page}
		if what.page {
			o.Link = linksTo(what.links)
		}
		return picture.SVG(&t, o), nil
	})
}
