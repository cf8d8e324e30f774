package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/picture"
	"github.com/heddle-mesh/heddle/internal/present"
)

// topologyCmd shows who calls whom.
type topologyCmd struct {
	Focus  string `complete:"services" placeholder:"NAME" help:"Only this service, or gateway/NAME, who calls it and whom it calls."`
	Depth  int    `default:"1" placeholder:"N" help:"How many calls away from --focus, 0 to 100."`
	Output string `short:"o" enum:"table,json,yaml,svg,dot,mermaid" default:"table" help:"table, json, yaml, svg (a drawing), dot (for Graphviz) or mermaid (for Markdown)."`
}

// Help shows examples below the flags.
func (topologyCmd) Help() string {
	return `Shows who calls whom, as owners declare it and as proxies have seen it. What needs somebody comes first: calls that were refused in the last hour and not answered since, calls that were tried though nobody declares them, callers that are not approved, callees that nobody declares.

With --focus it goes from the service to its callers and theirs, and to its callees and theirs, but not to what else its callers call. The web page /ui/topology has the same picture.

Examples:

  heddle topology
  heddle topology --focus orders --depth 2
  heddle topology -o svg > mesh.svg
  heddle topology --focus orders -o mermaid
  heddle topology -o dot | dot -Tpdf > mesh.pdf
  heddle topology -o json | jq -r '.edges[] | select(.state == "undeclared") | .from + " " + .to'`
}

// Run prints the topology.
func (c *topologyCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.Depth < 0 || c.Depth > 100 {
		return &cli.UsageError{Message: fmt.Sprintf("--depth %d is not from 0 to 100", c.Depth)}
	}
	t, err := api.Topology(ctx, c.Focus, c.Depth, c.Output == "svg")
	if err != nil {
		return err
	}
	switch c.Output {
	case "svg":
		_, err = con.Out.Write(picture.SVG(&t, picture.Options{}))
		return err
	case "dot":
		_, err = fmt.Fprint(con.Out, picture.DOT(&t))
		return err
	case "mermaid":
		_, err = fmt.Fprint(con.Out, picture.Mermaid(&t))
		return err
	case "table":
		return topologyTables(con, &t)
	}
	return con.Encode(c.Output, t)
}

var edgeTones = map[mesh.EdgeState]present.Tone{
	mesh.EdgeRefused: present.Bad, mesh.EdgeUndeclared: present.Bad, mesh.EdgeUnapproved: present.Warn, mesh.EdgePending: present.Warn, mesh.EdgeSeen: present.Good,
}

var healthTones = map[mesh.NodeHealth]present.Tone{
	mesh.NodeHealthy: present.Good, mesh.NodeDegraded: present.Warn, mesh.NodeDown: present.Bad, mesh.NodePending: present.Warn,
}

// topologyTables prints the nodes, and below them the calls.
func topologyTables(con *cli.Console, t *mesh.Topology) error {
	nodes := present.NewTable(con.Palette, "NODE", "OWNER", "HEALTH", "INSTANCES", "REQUESTS")
	for i := range t.Nodes {
		n := &t.Nodes[i]
		instances := ""
		if n.Kind == mesh.ServiceNode {
			instances = fmt.Sprintf("%d/%d", n.Healthy, n.Instances)
		}
		nodes.Add(append(append(present.Text(n.ID, n.Owner), present.Cell{Text: string(n.Health), Tone: healthTones[n.Health]}), present.Text(instances, rateText(n.RequestRate))...)...)
	}
	if err := nodes.Write(con.Out); err != nil {
		return err
	}
	edges := slices.Clone(t.Edges)
	slices.SortStableFunc(edges, func(a, b mesh.TopologyEdge) int { return cmp.Compare(a.State.Urgency(), b.State.Urgency()) })
	calls := present.NewTable(con.Palette, "CALLER", "CALLEE", "STATE", "REQUESTS", "ERRORS", "LAST SEEN", "REASON")
	for i := range edges {
		e := &edges[i]
		seen := ""
		if !e.LastSeen.IsZero() {
			seen = present.Age(time.Since(e.LastSeen)) + " ago"
		}
		calls.Add(append(append(present.Text(e.From, e.To), present.Cell{Text: string(e.State), Tone: edgeTones[e.State]}), present.Text(rateText(e.RequestRate), rateText(e.ErrorRate), seen, e.Reason)...)...)
	}
	return section(con, len(edges), calls)
}

// rateText writes requests a second; nothing for none.
func rateText(rate float64) string {
	if rate == 0 {
		return ""
	}
	return picture.Rate(rate)
}
