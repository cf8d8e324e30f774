package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// discoveryCmd groups what is done with sources of virtual machines.
type discoveryCmd struct {
	List   discoveryListCmd   `cmd:"" help:"Show how the sources of virtual machines do."`
	Forget discoveryForgetCmd `cmd:"" help:"Forget a source that no server has in its settings any more, and its machines."`
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
}

// Help shows examples below the flags.
func (discoveryForgetCmd) Help() string {
	return `What is known of a source stays when it is taken out of the settings of the servers: its machines may still get requests. Forgotten, its machines and the instances that they were are gone. It is refused while a server refreshes the source. The token has to be an admin's.

Example:

  heddle discovery forget azure-old`
}

// Run shows the sources.
func (c *discoveryListCmd) Run(ctx context.Context, api *client.Client, con *console) error {
	all, err := api.Discovery(ctx)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.encode(c.Output, all)
	}
	if len(all.Sources) == 0 {
		fmt.Fprintln(con.err, "no sources of virtual machines: name them in a file, and start the servers with --discovery")
		return nil
	}
	table := present.NewTable(con.palette, "SOURCE", "KIND", "STATE", "LAST RUN", "TOOK", "CALLS", "THROTTLED", "MACHINES", "OF NOTHING")
	for i := range all.Sources {
		one := &all.Sources[i]
		cells := append(present.Text(one.Name, one.Kind), sourceCell(one))
		cells = append(cells, present.Text(since(one.LastRun), fmt.Sprintf("%.0fms", one.DurationMS), strconv.Itoa(one.Calls), strconv.Itoa(one.Throttled), strconv.Itoa(one.VMs), strconv.Itoa(one.SkippedTotal))...)
		table.Add(cells...)
	}
	if err := table.Write(con.out); err != nil {
		return err
	}
	for i := range all.Sources {
		if one := &all.Sources[i]; one.Failing != "" {
			fmt.Fprintf(con.out, "\n%s failed: %s\n", present.Safe(one.Name), present.Safe(one.Failing))
		}
	}
	return nil
}

func sourceCell(one *mesh.DiscoveryReport) present.Cell {
	switch {
	case !one.Refreshed:
		return present.Cell{Text: "not refreshed", Tone: present.Warn}
	case one.Failing != "":
		return present.Cell{Text: "failing", Tone: present.Bad}
	}
	return present.Cell{Text: "whole", Tone: present.Good}
}

// Run has the source forgotten.
func (c *discoveryForgetCmd) Run(ctx context.Context, api *client.Client, con *console) error {
	if err := api.ForgetSource(ctx, c.Source); err != nil {
		return err
	}
	fmt.Fprintf(con.out, "source %s is forgotten, and its machines\n", present.Safe(c.Source))
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
