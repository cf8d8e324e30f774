package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// impactCmd says who would feel a change.
type impactCmd struct {
	Service string `arg:"" complete:"services" help:"The service."`
	Delete  bool   `help:"It would be deleted. This is what is asked if nothing is said."`
	Change  string `complete:"files" placeholder:"FILE|-" help:"It would be declared as in this file."`
	Diff    bool   `help:"Show what changes in the configuration of each sidecar, too."`
	Output  string `short:"o" enum:"text,json,yaml" default:"text" help:"text, json or yaml."`
}

// Help shows examples below the flags.
func (impactCmd) Help() string {
	return `Shows who calls the service, itself or by way of others, and when a call was seen last; the owners to talk to; the gateways and their routes that lead to it or to its callers; and what sidecars would lose. Nothing is written. TRAFFIC is unknown as long as no proxy reports what it sees. --change needs an access token (HEDDLE_TOKEN).

Examples:

  heddle impact orders
  heddle impact orders --change orders.yaml --diff
  heddle impact orders -o json | jq -r '.owners[]'`
}

// Run asks and shows the answer.
func (c *impactCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.Delete && c.Change != "" {
		return &cli.UsageError{Message: "--delete and --change exclude each other"}
	}
	impact, err := c.ask(ctx, api, con)
	if err != nil {
		return err
	}
	if c.Output != "text" {
		return con.Encode(c.Output, impact)
	}
	fmt.Fprintf(con.Out, "%s\n", present.Safe(impact.Summary))
	if len(impact.Owners) > 0 {
		fmt.Fprintf(con.Out, "talk to: %s\n", present.Safe(strings.Join(impact.Owners, ", ")))
	}
	if err := section(con, len(impact.Callers), callersTable(con.Palette, impact.Callers)); err != nil {
		return err
	}
	routes := present.NewTable(con.Palette, "ROUTE", "OWNER", "HOSTS", "GATEWAYS", "VIA")
	for _, r := range impact.Routes {
		gateways := "all"
		if len(r.Gateways) > 0 {
			gateways = joinNames(r.Gateways)
		}
		routes.Add(present.Text(string(r.Name), r.Owner, strings.Join(r.Hosts, ", "), gateways, string(r.Via))...)
	}
	if err := section(con, len(impact.Routes), routes); err != nil {
		return err
	}
	fmt.Fprintln(con.Out)
	printPlan(con, impact.Plan, c.Diff)
	return nil
}

func (c *impactCmd) ask(ctx context.Context, api *client.Client, con *cli.Console) (mesh.Impact, error) {
	if c.Change == "" {
		impact, err := api.DeletionImpact(ctx, mesh.ServiceName(c.Service))
		if mesh.KindOf(err) == mesh.KindNotFound {
			err = suggest(ctx, api, kindServices, c.Service, err)
		}
		return impact, err
	}
	objects, err := readChecked([]string{c.Change}, con)
	if err != nil {
		return mesh.Impact{}, err
	}
	for _, o := range objects {
		if o.Kind == manifest.KindService && string(o.Service.Name) == c.Service {
			return api.ChangeImpact(ctx, *o.Service)
		}
	}
	return mesh.Impact{}, mesh.NotFound("%s declares no service %q", c.Change, c.Service)
}

func callersTable(p present.Palette, callers []mesh.ImpactCaller) *present.Table {
	table := present.NewTable(p, "CALLER", "OWNER", "DISTANCE", "VIA", "TRAFFIC")
	for _, one := range callers {
		traffic := present.Cell{Text: one.Traffic}
		switch one.Traffic {
		case "seen":
			traffic = present.Cell{Text: fmt.Sprintf("%s ago, %.3g/s", since(one.LastSeen), one.Rate), Tone: present.Warn}
		case "never":
			traffic.Tone = present.Faint
		}
		if !one.Declared {
			traffic.Text += ", not declared"
		}
		table.Add(append(present.Text(one.Name, one.Owner, fmt.Sprint(one.Distance), string(one.Via)), traffic)...)
	}
	return table
}

func joinNames(names []mesh.ServiceName) string {
	out := make([]string, len(names))
	for i, one := range names {
		out[i] = string(one)
	}
	return strings.Join(out, ", ")
}
