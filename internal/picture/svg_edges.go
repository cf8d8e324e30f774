package picture

import (
	"math"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func (w *writer) edges() {
	w.text(`<g class="edges" fill="none">`, "\n")
	for _, mark := range edgeMarks() {
		begun := false
		for i := range w.t.Edges {
			e := &w.t.Edges[i]
			if e.State != mark.state {
				continue
			}
			if !begun {
				begun = true
				w.text(`<g class="edge-`, string(mark.state), `" stroke="`, mark.color, `" marker-end="url(#to-`, string(mark.state), `)"`, dashes(mark), ">\n")
			}
			w.edge(e, mark)
		}
		if begun {
			w.text("</g>\n")
		}
	}
	w.text("</g>\n")
}

func (w *writer) edge(e *mesh.TopologyEdge, mark edgeMark) {
	w.text(`<path d="`, way(e), `" stroke-width="`, num(thickness(e)), `"`)
	if w.o.Page {
		w.text(` data-e="`, strconv.Itoa(w.at[e.From]), ` `, strconv.Itoa(w.at[e.To]), `"`)
	}
	if len(w.t.Edges) > mostTitles {
		w.text("/>\n")
		return
	}
	w.text(`><title>`)
	w.escaped(e.From + " → " + e.To + ": " + mark.says + traffic(e))
	w.text("</title></path>\n")
}

// way joins an edge's points by curves that begin and end level.
func way(e *mesh.TopologyEdge) string {
	if len(e.Path) == 0 {
		return ""
	}
	var b strings.Builder
	last := e.Path[0]
	b.WriteString("M" + num(last.X) + " " + num(last.Y))
	for _, p := range e.Path[1:] {
		middle := num((last.X + p.X) / 2)
		switch {
		case e.From == e.To:
			b.WriteString("C" + num(p.X+30) + " " + num(last.Y-6) + " " + num(p.X+30) + " " + num(p.Y+6) + " " + num(p.X) + " " + num(p.Y))
		case p.Y == last.Y:
			b.WriteString("H" + num(p.X))
		default:
			b.WriteString("C" + middle + " " + num(last.Y) + " " + middle + " " + num(p.Y) + " " + num(p.X) + " " + num(p.Y))
		}
		last = p
	}
	return b.String()
}

// thickness grows with the traffic: ten times as much is a step more.
func thickness(e *mesh.TopologyEdge) float64 {
	return min(1.4+1.2*math.Log10(1+10*max(0, e.RequestRate)), 7)
}

func traffic(e *mesh.TopologyEdge) string {
	if e.Requests == 0 && e.RequestRate == 0 {
		return ""
	}
	s := ", " + Rate(e.RequestRate)
	if e.ErrorRate > 0 {
		s += ", errors " + Rate(e.ErrorRate)
	}
	if e.RefusedRate > 0 {
		s += ", refused " + Rate(e.RefusedRate)
	}
	return s
}

// Rate writes requests a second, short.
func Rate(r float64) string {
	switch {
	case r == 0:
		return "0/s"
	case r < 0.1:
		return "<0.1/s"
	case r < 10:
		return strconv.FormatFloat(r, 'f', 1, 64) + "/s"
	}
	return strconv.FormatFloat(r, 'f', 0, 64) + "/s"
}
