package picture_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/picture"
)

var update = flag.Bool("update", false, "write testdata anew")

// shop has each kind of node, each health and each state of an edge.
func shop() *mesh.Topology {
	box := func(x, y float64) *mesh.Box { return &mesh.Box{X: x, Y: y, Width: 160, Height: 44} }
	path := func(x, y, toX, toY float64) []mesh.Point { return []mesh.Point{{X: x, Y: y}, {X: toX, Y: toY}} }
	return &mesh.Topology{
		Revision: 7, Width: 900, Height: 460,
		Nodes: []mesh.TopologyNode{
			{ID: "api.example.com", Kind: mesh.UnknownNode, Health: mesh.NodeUnknown, Box: box(700, 24)},
			{ID: "gateway/edge", Kind: mesh.GatewayNode, Health: mesh.NodeUnknown, Box: box(24, 24)},
			{ID: "orders", Kind: mesh.ServiceNode, Owner: "team-shop", Health: mesh.NodeDegraded, Instances: 3, Healthy: 2, RequestRate: 40, Box: box(500, 24)},
			{ID: "payments", Kind: mesh.ServiceNode, Owner: "team-money", Health: mesh.NodeDown, Instances: 2, Box: box(700, 100), Deprecated: "use billing"},
			{ID: "search", Kind: mesh.ServiceNode, Owner: "team-shop", Health: mesh.NodeNone, Box: box(700, 180)},
			{ID: "stock", Kind: mesh.UnknownNode, Health: mesh.NodePending, Box: box(700, 260)},
			{ID: "web", Kind: mesh.ServiceNode, Owner: `<"team" & co>`, Health: mesh.NodeHealthy, Instances: 2, Healthy: 2, Box: box(260, 24)},
			{ID: "well", Kind: mesh.ServiceNode, Owner: "team-shop", Health: mesh.NodeHealthy, Instances: 1, Healthy: 1, Box: box(24, 340)},
		},
		Edges: []mesh.TopologyEdge{
			{From: "gateway/edge", To: "web", State: mesh.EdgeSeen, Declared: true, Requests: 9, RequestRate: 120, ErrorRate: 0.05, LastSeen: time.Unix(0, 0), Path: path(184, 46, 260, 46)},
			{From: "orders", To: "api.example.com", State: mesh.EdgeUndeclared, Path: path(660, 46, 700, 46)},
			{From: "orders", To: "payments", State: mesh.EdgeUnapproved, Declared: true, Path: path(660, 46, 700, 122)},
			{From: "orders", To: "search", State: mesh.EdgeUnused, Declared: true, Path: path(660, 46, 700, 202)},
			{From: "orders", To: "stock", State: mesh.EdgePending, Declared: true, Path: path(660, 46, 700, 282)},
			{From: "orders", To: "web", State: mesh.EdgeDeclared, Declared: true, Backwards: true, Path: path(500, 58, 420, 58)},
			{From: "web", To: "orders", State: mesh.EdgeRefused, Declared: true, Requests: 3, RequestRate: 2, RefusedRate: 2, Path: path(420, 46, 500, 46)},
			{From: "web", To: "web", State: mesh.EdgeSeen, Declared: true, Path: path(420, 34, 420, 58)},
		},
	}
}

func TestPictures(t *testing.T) {
	for name, got := range map[string]string{
		"shop.svg":      string(picture.SVG(shop(), picture.Options{})),
		"shop-page.svg": string(picture.SVG(shop(), picture.Options{Page: true, Link: func(id string) string { return "/ui/topology?focus=" + id }})),
		"shop.dot":      picture.DOT(shop()),
		"shop.mermaid":  picture.Mermaid(shop()),
	} {
		file := "testdata/" + name
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (go test ./internal/picture -update): %s", name, diff)
		}
	}
}

// Nothing in a page may need a style attribute or a script: its policy forbids both.
func TestNoStyleAttributesAndNoScripts(t *testing.T) {
	page := string(picture.SVG(shop(), picture.Options{Page: true}))
	for _, one := range []string{"style=", "<style", "<script", "onload", "onclick"} {
		if strings.Contains(page, one) {
			t.Errorf("it has %s", one)
		}
	}
}

func TestNamesEndNothingInTheLanguages(t *testing.T) {
	odd := &mesh.Topology{Nodes: []mesh.TopologyNode{{ID: "a\"]\nb<i>#\\", Kind: mesh.UnknownNode, Health: mesh.NodeUnknown}}}
	if got := picture.DOT(odd); !strings.Contains(got, `"a\"]\nb<i>#\\"`) {
		t.Errorf("DOT: %s", got)
	}
	if got := picture.Mermaid(odd); !strings.Contains(got, `n0["a#quot;] b#lt;i#gt;#35;\<br>`) {
		t.Errorf("Mermaid: %s", got)
	}
}
