package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// driftCmd compares declarations with what proxies saw.
type driftCmd struct {
	Caller     string        `arg:"" optional:"" complete:"services" help:"With --declare: the service that calls."`
	Callee     string        `arg:"" optional:"" complete:"services" help:"With --declare: the service that is called."`
	Declare    bool          `help:"Add CALLEE to the dependencies of CALLER, and leave all else of its declaration as it is."`
	Service    string        `placeholder:"NAME" complete:"services" help:"Only what is about this caller or callee."`
	UnusedDays int           `default:"30" placeholder:"DAYS" help:"For how many days a declared call has to be missing to count as unused."`
	Since      time.Duration `default:"168h" placeholder:"TIME" help:"How long ago attempts and refusals count."`
	All        bool          `help:"Show also what is declared and was not seen yet, but was watched for too short a time to be called unused."`
	Fail       bool          `help:"End with exit code 7 if anything is undeclared, refused or unused."`
	Output     string        `short:"o" enum:"table,json,yaml" default:"table" help:"table, json (all there is to each) or yaml."`
}

// Help shows examples below the flags.
func (driftCmd) Help() string {
	return `Sidecars and gateways report the calls that they see. Of these are shown: those that were attempted and are not declared (undeclared), those that a sidecar refused for another reason (refused), declared ones that nobody made for long (unused), and calls in plain text by whoever has no identity (plain). A call is unused only if the caller's sidecars were watched for as long.

--declare needs a token that may write the caller's declaration. It replaces the revision that it read, so that nobody's change is lost.

Examples:

  heddle drift
  heddle drift --service web --unused-days 90
  heddle drift --declare web orders
  heddle drift --fail -o json`
}

// errDrift is the verdict of --fail.
var errDrift = &cli.Verdict{Message: "declarations and calls do not agree", Code: cli.ExitStopped}

// Run shows the drift, or mends one of it.
func (c *driftCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	switch {
	case c.Declare && (c.Caller == "" || c.Callee == ""):
		return &cli.UsageError{Message: "say who calls whom: heddle drift --declare CALLER CALLEE"}
	case c.Declare:
		return c.declare(ctx, api, con)
	case c.Caller != "":
		return &cli.UsageError{Message: fmt.Sprintf("to see what is about %s: heddle drift --service %s", c.Caller, c.Caller)}
	case c.UnusedDays < 1 || c.Since <= 0:
		return &cli.UsageError{Message: fmt.Sprintf("--unused-days %d, --since %s: both are more than nothing", c.UnusedDays, c.Since)}
	}
	drift, err := api.Drift(ctx, client.DriftQuery{Service: c.Service, UnusedDays: c.UnusedDays, Since: c.Since})
	if err != nil {
		return err
	}
	failed := slices.ContainsFunc(drift.Items, func(i mesh.DriftItem) bool { return i.Kind.Fails() })
	if c.Output != "table" {
		err = con.Encode(c.Output, drift)
	} else {
		err = c.table(con, drift)
	}
	if err == nil && failed && c.Fail {
		return errDrift
	}
	return err
}

// tones are how bad the kinds are.
var tones = map[mesh.DriftKind]present.Tone{mesh.DriftUndeclared: present.Bad, mesh.DriftRefused: present.Bad, mesh.DriftUnused: present.Warn}

func (c *driftCmd) table(con *cli.Console, drift mesh.Drift) error {
	table := present.NewTable(con.Palette, "KIND", "CALLER", "CALLEE", "COUNT", "LAST", "WHAT", "MEND")
	shown, hidden := 0, 0
	for _, one := range drift.Items {
		if one.Kind == mesh.DriftUnseen && !c.All {
			hidden++
			continue
		}
		shown++
		last := ""
		if at := one.LastSeen; !at.IsZero() {
			last = at.Local().Format(time.DateTime)
		}
		cells := append([]present.Cell{{Text: string(one.Kind), Tone: tones[one.Kind]}}, present.Text(one.Caller, one.Callee, fmt.Sprint(one.Count), last, one.Message, one.Mend)...)
		table.Add(cells...)
	}
	if shown > 0 {
		if err := table.Write(con.Out); err != nil {
			return err
		}
	}
	switch {
	case drift.Since.IsZero():
		fmt.Fprintln(con.Err, "no sidecar is watched yet: each begins to be a few seconds after the first call through it, unless the server has --call-reports off")
	case shown == 0:
		fmt.Fprintln(con.Err, "declarations and calls agree, watched since "+drift.Since.Local().Format(time.DateTime))
	}
	if hidden > 0 {
		fmt.Fprintf(con.Err, "%d more are declared and were not seen, watched for too short a time to say that they are unused: --all shows them\n", hidden)
	}
	return nil
}

// declare adds a dependency. A write in between has it read anew.
func (c *driftCmd) declare(ctx context.Context, api *client.Client, con *cli.Console) error {
	for tries := 1; ; tries++ {
		stored, err := api.Service(ctx, mesh.ServiceName(c.Caller))
		if err != nil {
			return err
		}
		if slices.Contains(stored.Dependencies, mesh.ServiceName(c.Callee)) {
			fmt.Fprintf(con.Out, "%s declares %s already\n", present.Safe(c.Caller), present.Safe(c.Callee))
			return nil
		}
		stored.Dependencies = append(stored.Dependencies, mesh.ServiceName(c.Callee))
		written, err := api.PutService(ctx, stored.Service)
		if mesh.KindOf(err) == mesh.KindConflict && tries < 20 {
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(con.Out, "%s declares %s (revision %d)\n", present.Safe(c.Caller), present.Safe(c.Callee), written.Meta.Revision)
		return nil
	}
}
