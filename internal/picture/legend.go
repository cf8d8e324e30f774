package picture

import "github.com/heddle-mesh/heddle/internal/mesh"

// Sign is one mark of a drawing and what it says.
type Sign struct {
	Says string
	SVG  string // of a page that has the drawing, too
}

// Legend explains the marks that a drawing in a page has.
func Legend(t *mesh.Topology) (healths, states []Sign) {
	has := map[string]bool{}
	for i := range t.Nodes {
		has[string(t.Nodes[i].Health)] = true
	}
	for _, mark := range healthMarks() {
		if has[string(mark.health)] {
			healths = append(healths, Sign{mark.says, `<svg class="sign topology ` + string(mark.health) + `" width="18" height="18" viewBox="-9 -9 18 18" aria-hidden="true"><use class="health" href="#health-` +
				string(mark.health) + `" color="` + mark.color + `"/></svg>`})
		}
	}
	for i := range t.Edges {
		has[string(t.Edges[i].State)] = true
	}
	for _, mark := range edgeMarks() {
		if has[string(mark.state)] {
			states = append(states, Sign{mark.says, `<svg class="sign topology" width="44" height="12" viewBox="0 0 44 12" aria-hidden="true"><g class="edge-` + string(mark.state) + `" stroke="` + mark.color +
				`" stroke-width="2" fill="none"><path d="M1 6H42" marker-end="url(#to-` + string(mark.state) + `)"` + dashes(mark) + `/></g></svg>`})
		}
	}
	return healths, states
}

func dashes(mark edgeMark) string {
	if mark.dashes == "" {
		return ""
	}
	return ` stroke-dasharray="` + mark.dashes + `"`
}

// Says puts an edge's state into words.
func Says(state mesh.EdgeState) string { return markOf(state).says }
