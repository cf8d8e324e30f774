package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// proxyConfigCmd shows what one proxy has.
type proxyConfigCmd struct {
	Node   string `arg:"" complete:"nodes" help:"The proxy's node id, SERVICE/INSTANCE (heddle status lists them)."`
	Type   string `enum:",clusters,endpoints,listeners,routes,secrets,runtime,extensions" default:"" placeholder:"TYPE" help:"Only this type: clusters, endpoints, listeners, routes, secrets, runtime or extensions."`
	Name   string `placeholder:"TEXT" help:"Only resources with this in their names."`
	Diff   bool   `help:"Only what the proxy has in another version than the newest, with the difference."`
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table (states and versions), or json or yaml (the resources too)."`
}

// Help shows examples below the flags.
func (proxyConfigCmd) Help() string {
	return `Of each resource: HELD is the version that the proxy acknowledged and goes on with, SENT the one that it was sent last, CURRENT the one that it is to have now, and NEWEST what the declarations give. They differ while a change is under way, when a proxy refused the newest version, and while another proxy tries it first; REASON says which. The server has to be the one that the proxy is connected to. Keys and passwords are never shown.

"--diff" shows what would change in the proxy if it took the newest version. The server keeps older versions only for as long as it may have to go back to them: else the two versions are all that is told.

Examples:

  heddle proxy-config web/web-1
  heddle proxy-config web/web-1 --type clusters --name orders
  heddle proxy-config web/web-1 --diff
  heddle proxy-config web/web-1 --type routes -o yaml
  heddle proxy-config web/web-1 -o json | jq '.resources[] | select(.state != "synced") | .name'`
}

// Run asks until it has all of it.
func (c *proxyConfigCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	q := mesh.ProxyQuery{Node: c.Node, Type: c.Type, Name: c.Name, Differ: c.Diff, Content: c.Output != "table" && !c.Diff, Limit: 1000}
	config, err := api.ProxyConfig(ctx, q)
	if err != nil {
		return c.suggest(ctx, api, err)
	}
	for q.After = config.Next; q.After != ""; {
		more, err := api.ProxyConfig(ctx, q)
		if err != nil {
			return err
		}
		config.Streams, config.Total, q.After = more.Streams, more.Total, more.Next
		config.Resources = append(config.Resources, more.Resources...)
	}
	config.Next = ""
	return c.print(con, config)
}

func (c *proxyConfigCmd) print(con *cli.Console, config mesh.ProxyConfig) error {
	if c.Output != "table" {
		return con.Encode(c.Output, config)
	}
	if c.Diff {
		return c.differences(con, config)
	}
	if len(config.Resources) == 0 {
		fmt.Fprintln(con.Err, "no resources")
		return nil
	}
	if err := c.table(con, config).Write(con.Out); err != nil {
		return err
	}
	for i := range config.Resources {
		c.refusal(con, &config.Resources[i])
	}
	return nil
}

// suggest names a proxy that was probably meant.
func (c *proxyConfigCmd) suggest(ctx context.Context, api *client.Client, err error) error {
	var e *mesh.Error
	if !errors.As(err, &e) || e.Kind != mesh.KindNotFound {
		return err
	}
	proxies, failed := api.Proxies(ctx)
	if failed != nil {
		return err
	}
	var nodes []string
	for _, one := range proxies {
		nodes = append(nodes, one.Node)
	}
	if hint := didYouMean(c.Node, nodes); hint != "" {
		return fmt.Errorf("%w; %s", err, hint)
	}
	return err
}

func (c *proxyConfigCmd) table(con *cli.Console, config mesh.ProxyConfig) *present.Table {
	table := present.NewTable(con.Palette, "TYPE", "NAME", "STATE", "HELD", "SENT", "CURRENT", "NEWEST", "BECAUSE OF", "REASON")
	for _, one := range config.Resources {
		origin := ""
		if one.Origin != nil {
			origin = one.Origin.Object
		}
		cells := present.Text(mesh.ResourceTypeName(one.Type), one.Name)
		cells = append(cells, present.Cell{Text: string(one.State), Tone: toneOf(one.State)})
		for _, version := range []string{one.Held, one.Sent, one.Current, one.Newest} {
			cells = append(cells, present.Cell{Text: shortVersion(version)})
		}
		table.Add(append(cells, present.Text(origin, one.Reason)...)...)
	}
	return table
}

func toneOf(state mesh.ResourceState) present.Tone {
	switch state {
	case mesh.ResourceSynced:
		return present.Good
	case mesh.ResourceRefused, mesh.ResourceWithheld:
		return present.Bad
	}
	return present.Warn
}

// differences shows what differs, one resource after the other.
func (c *proxyConfigCmd) differences(con *cli.Console, config mesh.ProxyConfig) error {
	if len(config.Resources) == 0 {
		fmt.Fprintf(con.Out, "%s has the newest version of everything\n", present.Safe(config.Node))
		return nil
	}
	for i := range config.Resources {
		one := &config.Resources[i]
		if i > 0 {
			fmt.Fprintln(con.Out)
		}
		fmt.Fprintf(con.Out, "%s %s: %s\n", mesh.ResourceTypeName(one.Type), present.Safe(one.Name), con.Palette.Paint(toneOf(one.State), string(one.State)))
		if one.Reason != "" {
			fmt.Fprintf(con.Out, "  %s\n", present.Safe(one.Reason))
		}
		c.refusal(con, one)
		if one.Diff == "" {
			fmt.Fprintf(con.Out, "  held %s, newest %s%s\n", orNone(one.Held), orNone(one.Newest), notKept(one))
			continue
		}
		for line := range strings.Lines(one.Diff) {
			line = present.Safe(strings.TrimRight(line, "\n"))
			switch {
			case strings.HasPrefix(line, "+"):
				line = con.Palette.Paint(present.Good, line)
			case strings.HasPrefix(line, "-"):
				line = con.Palette.Paint(present.Bad, line)
			}
			fmt.Fprintln(con.Out, line)
		}
	}
	return nil
}

// notKept says why there is no difference to show.
func notKept(one *mesh.ProxyResource) string {
	if one.Held == "" || one.Newest == "" {
		return ""
	}
	return ": the server does not keep the held one any more"
}

func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}

// refusal tells what a proxy said, and who wrote what it did not take.
func (c *proxyConfigCmd) refusal(con *cli.Console, one *mesh.ProxyResource) {
	if one.Refusal == nil {
		return
	}
	ago := ""
	if !one.Refusal.At.IsZero() {
		ago = " " + since(one.Refusal.At) + " ago"
	}
	fmt.Fprintf(con.Out, "\n%s refused %s %s%s\n", present.Safe(one.Refusal.Node), mesh.ResourceTypeName(one.Type), present.Safe(one.Name), ago)
	for line := range strings.Lines(one.Refusal.Message) {
		fmt.Fprintf(con.Out, "  %s\n", present.Safe(strings.TrimRight(line, "\r\n")))
	}
	if one.Origin != nil {
		fmt.Fprintf(con.Out, "  because of %s%s\n", present.Safe(one.Origin.Object), present.Safe(writtenBy(*one.Origin)))
	}
}
