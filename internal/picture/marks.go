package picture

import "github.com/heddle-mesh/heddle/internal/mesh"

// edgeMark is how an edge in a state looks.
type edgeMark struct {
	state   mesh.EdgeState
	says    string
	color   string
	dashes  string // of SVG; "": a solid line
	blocked bool   // ends with a bar instead of an arrow: no calls get through
}

// edgeMarks are all of them; those that need attention are drawn last, on top.
func edgeMarks() []edgeMark {
	return []edgeMark{
		{state: mesh.EdgeDeclared, says: "declared, no call seen", color: "#8c959f"},
		{state: mesh.EdgeUnused, says: "declared, unused for long", color: "#8c959f", dashes: "9 6"},
		{state: mesh.EdgeSeen, says: "called", color: "#0969da"},
		{state: mesh.EdgePending, says: "callee not declared", color: "#8250df", dashes: "2 4"},
		{state: mesh.EdgeUnapproved, says: "not approved", color: "#bf3989", dashes: "5 4", blocked: true},
		{state: mesh.EdgeUndeclared, says: "undeclared, tried", color: "#bc4c00", dashes: "10 3 2 3", blocked: true},
		{state: mesh.EdgeRefused, says: "refused in the last hour", color: "#cf222e", blocked: true},
	}
}

// healthMark is how a node of a health looks. Its symbol is drawn around 0,0, 16
// pixels wide.
type healthMark struct {
	health mesh.NodeHealth
	says   string
	color  string
	symbol string
}

func healthMarks() []healthMark {
	return []healthMark{
		{mesh.NodeHealthy, "healthy", "#1a7f37", `<circle r="8" fill="currentColor"/><path d="M-3.6 .3-1.2 2.8 3.8-2.6" fill="none" stroke="#fff" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>`},
		{mesh.NodeDegraded, "degraded", "#9a6700", `<path d="M0-7.6 8.4 6.8H-8.4Z" fill="currentColor" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/><path d="M0-3V2M0 4.4V4.9" stroke="#fff" stroke-width="1.9" stroke-linecap="round"/>`},
		{mesh.NodeDown, "down", "#cf222e", `<rect x="-7.6" y="-7.6" width="15.2" height="15.2" rx="2.6" fill="currentColor"/><path d="M-3.2-3.2 3.2 3.2M3.2-3.2-3.2 3.2" stroke="#fff" stroke-width="1.9" stroke-linecap="round"/>`},
		{mesh.NodeNone, "no instances", "#6e7781", `<circle r="7" fill="none" stroke="currentColor" stroke-width="1.8"/><path d="M-4.9 4.9 4.9-4.9" stroke="currentColor" stroke-width="1.8"/>`},
		{mesh.NodePending, "not declared yet", "#8250df", `<circle r="7" fill="none" stroke="currentColor" stroke-width="1.8" stroke-dasharray="3 2.5"/><path d="M-2.2-1.6C-2.2-4.4 2.4-4.4 2.2-1.6 2.1-.1 0-.1 0 1.6M0 3.9V4.1" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"/>`},
		{mesh.NodeUnknown, "health not known", "#57606a", `<circle r="7" fill="none" stroke="currentColor" stroke-width="1.8"/><circle r="2.2" fill="currentColor"/>`},
	}
}

func markOf(state mesh.EdgeState) edgeMark {
	for _, one := range edgeMarks() {
		if one.state == state {
			return one
		}
	}
	return edgeMark{}
}

func healthOf(health mesh.NodeHealth) healthMark {
	for _, one := range healthMarks() {
		if one.health == health {
			return one
		}
	}
	return healthMark{}
}
