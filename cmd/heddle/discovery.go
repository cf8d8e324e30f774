package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// discoveryCmd groups what is done with sources of virtual machines.
type discoveryCmd struct {
	List    discoveryListCmd    `cmd:"" help:"Show how the sources of virtual machines do."`
	Refresh discoveryRefreshCmd `cmd:"" help:"Have a source refreshed now."`
	Forget  discoveryForgetCmd  `cmd:"" help:"Forget a source, or a part of one, that cannot be listed any more, and its machines."`
}

// Help shows examples below the commands.
func (discoveryCmd) Help() string {
	return "Example:\n\n  heddle discovery list"
}

type discoveryListCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json (also says which machines are instances of nothing, and why) or yaml."`
}

// Help shows examples below the flags.
func (discoveryListCmd) Help() string {
	return `Of each source the latest refresh: when it was, how long it took, how many requests it made and how many of them were throttled, how many machines there are, how many of them are instances of nothing, and what failed. What fails to be listed is not removed.

Examples:

  heddle discovery list
  heddle discovery list -o json | jq '.sources[] | select(.failing)'`
}

type discoveryForgetCmd struct {
	Source string `arg:"" complete:"sources" help:"The source's name, as heddle discovery list shows it."`
	Scope  string `placeholder:"SCOPE" help:"Only this part of it, such as a subscription, as heddle discovery list shows it."`
	Force  bool   `help:"Forget the scope although it is listed or throttled: its machines end now, and those that there are come back when it is listed next."`
}

// Help shows examples below the flags.
func (discoveryForgetCmd) Help() string {
	return `What is known of a source stays when it is taken out of the settings of the servers: its machines may still get requests. Forgotten, its machines and the instances that they were are gone. It is refused while a server refreshes the source.

With --scope it is the machines of one part alone, such as a subscription or a resource group that was deleted: a listing that fails never removes any, and nobody else can tell that they are gone. It is refused while a server lists the part, also without some of its machines, and while the source wants the part to be left alone (Retry-After), unless it is stale: its machines would end, and come back when it is listed next. --force does it all the same.

The token has to be an admin's.

Examples:

  heddle discovery forget azure-old
  heddle discovery forget azure-prod --scope subscriptions/00000000-0000-0000-0000-000000000000
  heddle discovery forget azure-prod --scope subscriptions/00000000-0000-0000-0000-000000000000 --force`
}

// Run shows the sources.
func (c *discoveryListCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	all, err := api.Discovery(ctx)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.Encode(c.Output, all)
	}
	if len(all.Sources) == 0 && len(all.Concerns) == 0 {
		fmt.Fprintln(con.Err, "no sources of virtual machines: name them in a file, and start the servers with --discovery")
		return nil
	}
	table := present.NewTable(con.Palette, "SOURCE", "KIND", "STATE", "LAST RUN", "TOOK", "CALLS", "THROTTLED", "MACHINES", "OF NOTHING")
	for i := range all.Sources {
		one := &all.Sources[i]
		cells := append(present.Text(one.Name, one.Kind), sourceCell(one))
		cells = append(cells, present.Text(since(one.LastRun), fmt.Sprintf("%.0fms", one.DurationMS), strconv.Itoa(one.Calls), strconv.Itoa(one.Throttled), strconv.Itoa(one.VMs), strconv.Itoa(one.SkippedTotal))...)
		table.Add(cells...)
	}
	if err := table.Write(con.Out); err != nil {
		return err
	}
	for i := range all.Sources {
		tellFaults(con.Out, &all.Sources[i], time.Now())
	}
	for _, one := range all.Concerns {
		fmt.Fprintf(con.Out, "\n%s: %s\n", present.Safe(one.Source), present.Safe(one.Message))
	}
	return nil
}

// tellFaults says what failed of a source, scope by scope, and since when nobody has
// confirmed what is kept of each.
func tellFaults(out io.Writer, one *mesh.DiscoveryReport, now time.Time) {
	if one.Error != "" {
		fmt.Fprintf(out, "\n%s failed: %s\n", present.Safe(one.Name), present.Safe(one.Error))
	}
	for _, scope := range one.Scopes {
		stale := slices.Contains(one.Stale, scope.Name)
		if scope.Error == "" && !stale {
			continue
		}
		fmt.Fprintf(out, "\n%s %s: %s\n", present.Safe(one.Name), present.Safe(scope.Name), present.Safe(cmp.Or(scope.Fault(), "not listed")))
		if scope.VMs > 0 {
			fmt.Fprintf(out, "  %s\n", scope.Unconfirmed(now))
		}
		if stale {
			fmt.Fprintf(out, "  %s\n", present.Safe(scope.Remedy(one.Name)))
		}
	}
}

func sourceCell(one *mesh.DiscoveryReport) present.Cell {
	switch {
	case !one.Refreshed:
		return present.Cell{Text: "not refreshed", Tone: present.Warn}
	case len(one.Stale) > 0:
		return present.Cell{Text: "stale", Tone: present.Bad}
	case one.Failing != "":
		return present.Cell{Text: "failing", Tone: present.Bad}
	}
	return present.Cell{Text: "whole", Tone: present.Good}
}

// Run has the source forgotten.
func (c *discoveryForgetCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.Force && c.Scope == "" {
		return invalid(fmt.Errorf("--force is for a scope: give --scope; a source that a server refreshes cannot be forgotten"))
	}
	if err := api.ForgetSource(ctx, c.Source, c.Scope, c.Force); err != nil {
		return err
	}
	if c.Scope != "" {
		fmt.Fprintf(con.Out, "the machines of %s in source %s are forgotten\n", present.Safe(c.Scope), present.Safe(c.Source))
		return nil
	}
	fmt.Fprintf(con.Out, "source %s is forgotten, and its machines\n", present.Safe(c.Source))
	return nil
}

// sourcesLine says in the status of the mesh which sources fail; "": there are none.
func sourcesLine(p present.Palette, all mesh.Discovery) string {
	if len(all.Sources) == 0 {
		return ""
	}
	failing, machines := 0, 0
	for i := range all.Sources {
		one := &all.Sources[i]
		machines += one.VMs
		if one.Failing != "" || !one.Refreshed {
			failing++
		}
	}
	line := plural(len(all.Sources), "source", "sources") + ", " + plural(machines, "machine", "machines")
	if failing > 0 {
		return line + ", " + p.Paint(present.Bad, fmt.Sprintf("%d failing", failing)) + " (heddle discovery list)"
	}
	return line + ", " + p.Paint(present.Good, "all whole")
}
