package picture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// DOT writes a topology in the language of Graphviz; `dot -Tsvg` draws it.
func DOT(t *mesh.Topology) string {
	var b strings.Builder
	b.WriteString("digraph mesh {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for i := range t.Nodes {
		n := &t.Nodes[i]
		mark := healthOf(n.Health)
		shape := ""
		switch n.Kind {
		case mesh.GatewayNode:
			shape = ", shape=oval"
		case mesh.UnknownNode:
			shape = ", style=\"rounded,dashed\""
		}
		fmt.Fprintf(&b, "  %s [label=%s, color=%q%s];\n", dotText(n.ID), dotText(n.ID+"\n"+mark.says), mark.color, shape)
	}
	for i := range t.Edges {
		e := &t.Edges[i]
		mark := markOf(e.State)
		style, head := "solid", "normal"
		if mark.dashes != "" {
			style = "dashed"
		}
		if mark.blocked {
			head = "tee"
		}
		label := ""
		if e.State != mesh.EdgeSeen {
			label = fmt.Sprintf(", label=%q", mark.says)
		}
		fmt.Fprintf(&b, "  %s -> %s [color=%q, style=%s, arrowhead=%s, penwidth=%s%s];\n", dotText(e.From), dotText(e.To), mark.color, style, head, num(thickness(e)), label)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotText quotes a string: only quotes and backslashes mean something inside
// ("The DOT language", ID).
func dotText(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
	return `"` + s + `"`
}

// Mermaid writes a topology as a flowchart of Mermaid, which Markdown viewers draw.
func Mermaid(t *mesh.Topology) string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	at := make(map[string]string, len(t.Nodes))
	for i := range t.Nodes {
		n := &t.Nodes[i]
		id := "n" + strconv.Itoa(i)
		at[n.ID] = id
		open, end := `["`, `"]`
		if n.Kind == mesh.GatewayNode {
			open, end = `(["`, `"])`
		}
		fmt.Fprintf(&b, "  %s%s%s%s\n", id, open, mermaidText(n.ID)+"<br>"+healthOf(n.Health).says, end)
	}
	for i := range t.Edges {
		e := &t.Edges[i]
		mark := markOf(e.State)
		line := "-->"
		switch {
		case e.State == mesh.EdgeSeen:
		case mark.blocked:
			line = `--x|"` + mark.says + `"|`
		default:
			line = `-.->|"` + mark.says + `"|`
		}
		fmt.Fprintf(&b, "  %s %s %s\n", at[e.From], line, at[e.To])
	}
	for _, mark := range healthMarks() {
		var of []string
		for i := range t.Nodes {
			if t.Nodes[i].Health == mark.health {
				of = append(of, "n"+strconv.Itoa(i))
			}
		}
		if len(of) > 0 {
			fmt.Fprintf(&b, "  classDef %s stroke:%s,stroke-width:2px\n  class %s %s\n", mark.health, mark.color, strings.Join(of, ","), mark.health)
		}
	}
	return b.String()
}

// mermaidText keeps a name from ending its quotes, or from being markup, by
// Mermaid's entity codes.
func mermaidText(s string) string {
	return strings.NewReplacer(`#`, "#35;", `"`, "#quot;", `<`, "#lt;", `>`, "#gt;", "\n", " ").Replace(s)
}
