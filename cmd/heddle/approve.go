package main

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/present"
)

// approveCmd lets callers into services.
type approveCmd struct {
	Callee string `arg:"" optional:"" complete:"services" help:"The service that is called."`
	Caller string `arg:"" optional:"" complete:"services" help:"The service that calls it, or gateway/NAME."`
	List   bool   `help:"List the callers that wait and those that are approved, of CALLEE if it is given."`
	Revoke bool   `help:"Take the approval back."`
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"With --list: table, json or yaml."`
}

// Help shows examples below the flags.
func (approveCmd) Help() string {
	return `A service with "access: {callers: approved}" takes calls from those callers only that its owner has approved. A caller asks by declaring the dependency; until it is approved it is pending. The token has to be one that may write CALLEE's declaration, in which approvals are kept (access.approved).

Examples:

  heddle approve --list
  heddle approve --list orders
  heddle approve orders web
  heddle approve orders gateway/edge
  heddle approve --revoke orders web`
}

// Run does one of the three.
func (c *approveCmd) Run(ctx context.Context, api *client.Client, con *console) error {
	switch {
	case c.List && (c.Revoke || c.Caller != ""):
		return &usageError{message: "--list takes a CALLEE at most, and no --revoke"}
	case c.List:
		return c.list(ctx, api, con)
	case c.Callee == "" || c.Caller == "":
		return &usageError{message: "say who may call whom: heddle approve CALLEE CALLER, or --list"}
	case c.Revoke:
		if err := api.RevokeApproval(ctx, c.Callee, c.Caller); err != nil {
			return err
		}
		fmt.Fprintf(con.out, "%s may not call %s any more\n", present.Safe(c.Caller), present.Safe(c.Callee))
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
	fmt.Fprintf(con.out, "%s may call %s%s\n", present.Safe(c.Caller), present.Safe(c.Callee), note)
	return nil
}

func (c *approveCmd) list(ctx context.Context, api *client.Client, con *console) error {
	approvals, err := api.Approvals(ctx, c.Callee)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.encode(c.Output, append([]client.Approval{}, approvals...))
	}
	if len(approvals) == 0 {
		fmt.Fprintln(con.err, "no service takes approved callers only, or none has callers")
		return nil
	}
	table := present.NewTable(con.palette, "CALLEE", "OWNER", "CALLER", "CALLER OWNER", "STATE", "DECLARED")
	for _, a := range approvals {
		state := present.Cell{Text: a.State, Tone: present.Good}
		if a.State == "pending" {
			state.Tone = present.Warn
		}
		declared := "yes"
		if !a.Declared {
			declared = "no"
		}
		table.Add(append(append(present.Text(string(a.Callee), a.Owner, a.Caller, a.CallerOwner), state), present.Text(declared)...)...)
	}
	return table.Write(con.out)
}
