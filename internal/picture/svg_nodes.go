package picture

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func (w *writer) nodes() {
	w.text(`<g class="nodes">`, "\n")
	for i := range w.t.Nodes {
		n := &w.t.Nodes[i]
		link := ""
		if w.o.Link != nil {
			link = w.o.Link(n.ID)
		}
		element := "g"
		if link != "" {
			element = "a"
		}
		class := "node " + string(n.Kind) + " " + string(n.Health)
		if n.ID == w.t.Focus {
			class += " focus"
		}
		w.text(`<`, element, ` class="`, class, `"`)
		if w.o.Page {
			w.text(` id="n`, strconv.Itoa(i), `"`)
		}
		if link != "" {
			w.text(` href="`)
			w.escaped(link)
			w.text(`"`)
			if len(w.t.Nodes) > mostStops {
				w.text(` tabindex="-1"`)
			}
		}
		w.text(`><title>`)
		w.escaped(nodeTitle(n))
		w.text(`</title>`)
		w.box(n, n.ID == w.t.Focus)
		w.text(`</`, element, ">\n")
	}
	w.text("</g>\n")
}

func (w *writer) box(n *mesh.TopologyNode, focus bool) {
	mark := healthOf(n.Health)
	x, y := n.Box.X, n.Box.Y
	line, thick, dashed, round := boxLine, "1", "", "8"
	switch {
	case focus:
		line, thick = "#0969da", "2.5"
	case n.Kind == mesh.UnknownNode:
		dashed = ` stroke-dasharray="4 3"`
	}
	if n.Kind == mesh.GatewayNode {
		round = num(n.Box.Height / 2)
	}
	w.text(`<rect class="box" x="`, num(x), `" y="`, num(y), `" width="`, num(n.Box.Width), `" height="`, num(n.Box.Height), `" rx="`, round,
		`" fill="`, boxColor, `" stroke="`, line, `" stroke-width="`, thick, `"`, dashed, `/>`)
	w.text(`<use class="health" href="#health-`, string(n.Health), `" x="`, num(x+20), `" y="`, num(y+n.Box.Height/2), `" color="`, mark.color, `"/>`)
	room := n.Box.Width - 44
	w.text(`<text class="name" x="`, num(x+36), `" y="`, num(y+19), `" font-weight="600" fill="`, textColor, `">`)
	w.escaped(fit(n.ID, room/7.4))
	w.text(`</text><text class="more" x="`, num(x+36), `" y="`, num(y+35), `" font-size="11" fill="`, mutedColor, `">`)
	w.escaped(fit(more(n), room/5.9))
	w.text(`</text>`)
}

// fit cuts what has more letters than there is room for.
func fit(s string, letters float64) string {
	if utf8.RuneCountInString(s) <= int(letters) {
		return s
	}
	return string([]rune(s)[:max(1, int(letters)-1)]) + "…"
}

// more is the second line of a box.
func more(n *mesh.TopologyNode) string {
	switch {
	case n.Kind == mesh.GatewayNode:
		return "gateway"
	case n.Health == mesh.NodePending:
		return "not declared"
	case n.Kind == mesh.UnknownNode:
		return "unknown here"
	}
	return instancesText(n) + " · " + n.Owner
}

func instancesText(n *mesh.TopologyNode) string {
	switch {
	case n.Health == mesh.NodeUnknown:
		return "outside"
	case n.Instances == 0:
		return "no instances"
	case n.Healthy == n.Instances:
		return strconv.Itoa(n.Instances) + " up"
	}
	return strconv.Itoa(n.Healthy) + "/" + strconv.Itoa(n.Instances) + " up"
}

func nodeTitle(n *mesh.TopologyNode) string {
	lines := []string{n.ID, healthOf(n.Health).says}
	if n.Kind == mesh.ServiceNode {
		lines = append(lines, fmt.Sprintf("%d of %d instances take requests", n.Healthy, n.Instances), "owner "+n.Owner)
		if n.RequestRate > 0 {
			lines = append(lines, Rate(n.RequestRate)+" to it, errors "+Rate(n.ErrorRate))
		}
		if n.Deprecated != "" {
			lines = append(lines, "deprecated: "+n.Deprecated)
		}
	}
	return strings.Join(lines, "\n")
}

// caption stands above the nodes without edges.
func (w *writer) caption() {
	linked := map[string]bool{}
	for i := range w.t.Edges {
		if e := &w.t.Edges[i]; e.From != e.To {
			linked[e.From], linked[e.To] = true, true
		}
	}
	var first *mesh.Box
	for i := range w.t.Nodes {
		if box := w.t.Nodes[i].Box; !linked[w.t.Nodes[i].ID] && (first == nil || box.Y < first.Y || box.Y == first.Y && box.X < first.X) {
			first = box
		}
	}
	if first != nil && len(w.t.Nodes) > 1 {
		w.text(`<text class="caption" x="`, num(first.X), `" y="`, num(first.Y-14), `" fill="`, mutedColor, `">Not connected: nobody calls these, and they call nobody</text>`, "\n")
	}
}
