package main

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/present"
)

// approveCmd lets callers into services.
type approveCmd struct {
	Callee string `arg:"" optional:"" complete:"services" help:"The service that is called."`
	Caller string `arg:"" optional:"" complete:"services" help:"The service that calls it, or gateway/NAME."`
	List   bool   `help:"List the callers that wait, and those that are approved or refused, of CALLEE if it is given."`
	Refuse bool   `help:"Refuse the caller: it waits no more."`
	Revoke bool   `help:"Take the approval or the refusal back."`
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"With --list: table, json or yaml."`
}

// Help shows examples below the flags.
func (approveCmd) Help() string {
	return `A service with "access: {callers: approved}" takes calls from those callers only that its owner has approved. A caller asks by declaring the dependency; until it is approved or refused it is pending, and it is let in when it is approved only. The token has to be one that may write CALLEE's declaration, in which decisions are kept (access.approved, access.refused).

Examples:

  heddle approve --list
  heddle approve --list orders
  heddle approve orders web
  heddle approve orders gateway/edge
  heddle approve --refuse orders scraper
  heddle approve --revoke orders web`
}

// Run does one of the four.
func (c *approveCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	switch {
	case c.List && (c.Revoke || c.Refuse || c.Caller != ""):
		return &cli.UsageError{Message: "--list takes a CALLEE at most, and neither --refuse nor --revoke"}
	case c.Refuse && c.Revoke:
		return &cli.UsageError{Message: "--refuse decides, and --revoke takes a decision back: give one of them"}
	case c.List:
		return c.list(ctx, api, con)
	case c.Callee == "" || c.Caller == "":
		return &cli.UsageError{Message: "say who may call whom: heddle approve CALLEE CALLER, or --list"}
	case c.Refuse:
		if _, err := api.RefuseCaller(ctx, c.Callee, c.Caller); err != nil {
			return err
		}
		fmt.Fprintf(con.Out, "%s is refused, and may not call %s\n", present.Safe(c.Caller), present.Safe(c.Callee))
		return nil
	case c.Revoke:
		if err := api.RevokeApproval(ctx, c.Callee, c.Caller); err != nil {
			return err
		}
		fmt.Fprintf(con.Out, "%s may not call %s any more\n", present.Safe(c.Caller), present.Safe(c.Callee))
		return nil
	}
	approval, err := api.Approve(ctx, c.Callee, c.Caller)
	if err != nil {
		return err
	}
	note := ""
	if !approval.Declared {
		note = ", once it declares the dependency"
	}
	fmt.Fprintf(con.Out, "%s may call %s%s\n", present.Safe(c.Caller), present.Safe(c.Callee), note)
	return nil
}

func (c *approveCmd) list(ctx context.Context, api *client.Client, con *cli.Console) error {
	approvals, err := api.Approvals(ctx, c.Callee)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.Encode(c.Output, append([]client.Approval{}, approvals...))
	}
	if len(approvals) == 0 {
		fmt.Fprintln(con.Err, "no service takes approved callers only, or none has callers")
		return nil
	}
	table := present.NewTable(con.Palette, "CALLEE", "OWNER", "CALLER", "CALLER OWNER", "STATE", "DECLARED")
	for _, a := range approvals {
		state := present.Cell{Text: a.State, Tone: present.Good}
		switch a.State {
		case "pending":
			state.Tone = present.Warn
		case "refused":
			state.Tone = present.Bad
		}
		declared := "yes"
		if !a.Declared {
			declared = "no"
		}
		table.Add(append(append(present.Text(string(a.Callee), a.Owner, a.Caller, a.CallerOwner), state), present.Text(declared)...)...)
	}
	return table.Write(con.Out)
}
