package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// auditCmd shows who changed what.
type auditCmd struct {
	Object  string        `arg:"" optional:"" help:"Only what is about this object, such as service/orders; service/ is all services."`
	Author  string        `placeholder:"WHO" help:"Only what this token (token:ID) or certificate (its SPIFFE ID) did."`
	Since   time.Duration `placeholder:"TIME" help:"Only what is not older, such as 24h."`
	Refused bool          `help:"Only what was refused."`
	Limit   int           `default:"100" placeholder:"N" help:"How many entries at most, 1 to 1000."`
	Output  string        `short:"o" enum:"table,json,yaml" default:"table" help:"table, json (all there is to each entry) or yaml."`
}

// Help shows examples below the flags.
func (auditCmd) Help() string {
	return `The newest comes first. An admin's token sees everything, an owner's what is about its services and routes, a service's what is about that service. Each write has its entry, which is written together with it; leases and instances are in the server's log only.

Examples:

  heddle audit
  heddle audit service/orders --since 24h
  heddle audit --author token:4f2a9c81d0e3
  heddle audit --refused -o json`
}

// Run prints the entries.
func (c *auditCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.Since < 0 || c.Limit < 1 || c.Limit > 1000 {
		return &cli.UsageError{Message: fmt.Sprintf("--since %s, --limit %d: a time is more than nothing, and a limit 1 to 1000", c.Since, c.Limit)}
	}
	query := client.AuditQuery{Object: c.Object, Author: c.Author, Limit: c.Limit}
	if c.Since > 0 {
		query.Since = time.Now().Add(-c.Since)
	}
	if c.Refused {
		query.Outcome = string(mesh.AuditRefused)
	}
	entries, err := api.Audit(ctx, query)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.Encode(c.Output, append([]mesh.AuditEntry{}, entries...))
	}
	table := present.NewTable(con.Palette, "TIME", "AUTHOR", "FROM", "ACTION", "OBJECT", "REVISION", "WHAT")
	for _, e := range entries {
		action := present.Cell{Text: e.Action}
		what := e.Reason
		if e.Outcome == mesh.AuditRefused {
			action = present.Cell{Text: e.Action + ", refused", Tone: present.Bad}
		} else {
			what = changesText(e.Changes)
			if e.To != 0 {
				action.Text = fmt.Sprintf("%s to %d", e.Action, e.To)
			}
			if len(e.Dependents) > 0 {
				what = "although " + present.CutList(e.Dependents) + " depended on it"
			}
		}
		revision := ""
		if e.Revision != 0 {
			revision = fmt.Sprint(e.Revision)
		}
		table.Add(append(append(present.Text(e.Time.Local().Format(time.DateTime), e.Author, e.From), action), present.Text(e.Object, revision, what)...)...)
	}
	return table.Write(con.Out)
}

// changesText says in few words which fields changed.
func changesText(changes []mesh.AuditChange) string {
	parts := make([]string, len(changes))
	for i, change := range changes {
		parts[i] = change.Field
		if change.Before != "" && change.After != "" && len(change.Before)+len(change.After) < 60 {
			parts[i] += " " + change.Before + " → " + change.After
		}
	}
	return strings.Join(parts, ", ")
}
