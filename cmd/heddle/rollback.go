package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// rollbackCmd writes an earlier state of an object anew.
type rollbackCmd struct {
	Kind   string `arg:"" complete:"kept" help:"service, upstream, route or runtime."`
	Name   string `arg:"" optional:"" complete:"names" help:"Which one; the runtime layer has no name."`
	To     string `required:"" placeholder:"REV" help:"The revision whose content is written anew, or previous: the state before the present one."`
	DryRun bool   `help:"Say what would change, and do nothing."`
}

// Help shows examples below the flags.
func (rollbackCmd) Help() string {
	return `What will change is printed first. It is a write like any other: it takes the same rights, what it writes has to be valid now, and it is refused if somebody else writes at the same moment. It brings back all fields of that revision, also who was approved then (access.approved). A deleted object comes back so. "heddle history" lists the revisions.

Examples:

  heddle rollback service orders --to previous --dry-run
  heddle rollback service orders --to 42
  heddle rollback route shop --to previous
  heddle rollback runtime --to 57`
}

// Run shows the difference, and does it.
func (c *rollbackCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	of, err := keptObject(c.Kind, c.Name)
	if err != nil {
		return err
	}
	title := singular(of.Kind)
	if of.Name != "" {
		title += "/" + of.Name
	}
	states, err := api.History(ctx, of)
	if err != nil {
		return err
	}
	to, err := c.target(states, title)
	if err != nil {
		return err
	}
	object, err := objectAt(ctx, api, of, to)
	if err != nil {
		return err
	}
	var over int64
	if now := presentOf(states); now != nil {
		over = now.Revision
		if now.Missing != "" {
			fmt.Fprintf(con.Out, "%s is not known as it is now: %s\n", present.Safe(title), present.Safe(now.Missing))
		} else {
			before, err := objectAt(ctx, api, of, over)
			if err != nil {
				return err
			}
			if err := printEdits(con, before, object); err != nil {
				return err
			}
		}
	} else {
		fmt.Fprintf(con.Out, "%s was deleted, and comes back\n", present.Safe(title))
	}
	if c.DryRun {
		fmt.Fprintf(con.Out, "%s would be rolled back to revision %d (dry run)\n", present.Safe(title), to)
		return nil
	}
	at, err := api.Rollback(ctx, of, to, over)
	if err != nil {
		return err
	}
	fmt.Fprintf(con.Out, "%s rolled back to revision %d, as revision %d\n", present.Safe(title), to, at)
	return nil
}

// target says which revision is meant.
func (c *rollbackCmd) target(states []client.Past, title string) (int64, error) {
	if c.To != "previous" {
		to, err := strconv.ParseInt(c.To, 10, 64)
		if err != nil || to <= 0 {
			return 0, &cli.UsageError{Message: fmt.Sprintf("--to %s: write a revision (heddle history lists them), or previous", c.To)}
		}
		return to, nil
	}
	for i, one := range states {
		switch {
		case one.Present || one.Deleted && i == 0:
		case one.Missing != "":
			return 0, mesh.NotFound("the state of %s before the present one, of revision %d, is not to be had: %s", title, one.Revision, one.Missing)
		case one.Deleted:
			return 0, mesh.NotFound("%s was not there before the present state: delete it to have that, or name a revision", title)
		default:
			return one.Revision, nil
		}
	}
	return 0, mesh.NotFound("nothing is kept of what %s was before: it was written once only, or an older server, which keeps no history, wrote it", title)
}

// presentOf finds what is in force, or nil.
func presentOf(states []client.Past) *client.Past {
	for i := range states {
		if states[i].Present {
			return &states[i]
		}
	}
	return nil
}
