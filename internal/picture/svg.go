package picture

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Options say what an SVG is for.
type Options struct {
	// Page: it becomes part of a page, which has a legend and a background.
	Page bool
	// Link is where a node leads to; nil or "": nowhere.
	Link func(id string) string
}

const (
	font       = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
	textColor  = "#1f2328"
	mutedColor = "#59636e"
	boxColor   = "#ffffff"
	boxLine    = "#d0d7de"
	legendLeft = 24.0
	legendLine = 30.0
	// Larger drawings have no words at each edge: they would be most of the file.
	mostTitles = 2000
	// Larger drawings have the class many, and may leave things out.
	few = 500
	// In larger drawings the tabulator key does not stop at each node.
	mostStops = 60
)

// SVG writes a topology that has a layout. Of a page, nodes are elements with the
// class node, and the id nI, I being their place among the nodes; edges have
// data-e="FROM TO", the same numbers.
func SVG(t *mesh.Topology, o Options) []byte {
	w := &writer{t: t, o: o, at: make(map[string]int, len(t.Nodes))}
	for i := range t.Nodes {
		w.at[t.Nodes[i].ID] = i
	}
	width, height := t.Width, t.Height
	if !o.Page { // the legend comes first, to know its height
		width = max(width, 640)
		height += w.legend(height, width)
	}
	legend := bytes.Clone(w.out.Bytes())
	w.out.Reset()
	class := "topology"
	if len(t.Nodes) > few {
		class += " many"
	}
	w.text(`<svg xmlns="http://www.w3.org/2000/svg" class="`, class, `" text-rendering="geometricPrecision" width="`, num(width), `" height="`, num(height), `" viewBox="0 0 `, num(width), ` `, num(height),
		`" font-family="`, font, `" font-size="13"`)
	if o.Page {
		w.text(` role="group" aria-label="`)
		w.escaped(summary(t))
		w.text(`">`)
	} else {
		w.text(` role="img"><title>`)
		w.escaped(summary(t))
		w.text(`</title><rect width="100%" height="100%" fill="`, boxColor, `"/>`)
	}
	w.definitions()
	w.edges()
	w.caption()
	w.nodes()
	w.out.Write(legend)
	w.text("</svg>\n")
	return w.out.Bytes()
}

// summary says in one line what there is to see.
func summary(t *mesh.Topology) string {
	what := "The mesh"
	if t.Focus != "" {
		what = t.Focus + " and its neighbours"
	}
	return fmt.Sprintf("%s: %d services and others, %d calls between them", what, len(t.Nodes), len(t.Edges))
}

type writer struct {
	t   *mesh.Topology
	o   Options
	out bytes.Buffer
	at  map[string]int
}

func (w *writer) text(parts ...string) {
	for _, one := range parts {
		w.out.WriteString(one)
	}
}

func (w *writer) escaped(s string) { _ = xml.EscapeText(&w.out, []byte(s)) } // a buffer takes everything

func num(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

func (w *writer) definitions() {
	w.text("<defs>")
	for _, mark := range edgeMarks() {
		shape := `<path d="M0 0 9 4 0 8 2 4Z" fill="`
		if mark.blocked {
			shape = `<path d="M0 0 6 4 0 8 1.5 4ZM6.6-.5H9V8.5H6.6Z" fill="`
		}
		w.text(`<marker id="to-`, string(mark.state), `" markerUnits="userSpaceOnUse" markerWidth="10" markerHeight="10" refX="9" refY="4" orient="auto" overflow="visible">`,
			shape, mark.color, `" class="edge-`, string(mark.state), `"/></marker>`)
	}
	for _, mark := range healthMarks() {
		w.text(`<g id="health-`, string(mark.health), `">`, mark.symbol, `</g>`)
	}
	w.text("</defs>\n")
}

// legend explains the marks that are in the drawing, below it, and says how much
// room it takes.
func (w *writer) legend(y, width float64) (height float64) {
	states, healths := map[mesh.EdgeState]bool{}, map[mesh.NodeHealth]bool{}
	for i := range w.t.Edges {
		states[w.t.Edges[i].State] = true
	}
	for i := range w.t.Nodes {
		healths[w.t.Nodes[i].Health] = true
	}
	x, begun := legendLeft, y
	room := func(needed float64) {
		if x > legendLeft && x+needed > width {
			x, y = legendLeft, y+legendLine
		}
	}
	w.text(`<g class="legend" font-size="12" fill="`, mutedColor, `">`, "\n")
	for _, mark := range healthMarks() {
		if healths[mark.health] {
			needed := 46 + 6.4*float64(len(mark.says))
			room(needed)
			w.text(`<use href="#health-`, string(mark.health), `" x="`, num(x+8), `" y="`, num(y+10), `" color="`, mark.color, `"/><text x="`, num(x+22), `" y="`, num(y+14), `">`, mark.says, `</text>`, "\n")
			x += needed
		}
	}
	x, y = legendLeft, y+legendLine
	for _, mark := range edgeMarks() {
		if !states[mark.state] {
			continue
		}
		needed := 68 + 6.4*float64(len(mark.says))
		room(needed)
		w.text(`<path d="M`, num(x), ` `, num(y+10), `h36" stroke-width="2" stroke="`, mark.color, `" marker-end="url(#to-`, string(mark.state), `)"`, dashes(mark), `/><text x="`, num(x+44), `" y="`, num(y+14), `">`, mark.says, `</text>`, "\n")
		x += needed
	}
	w.text("</g>\n")
	return y + legendLine - begun
}
