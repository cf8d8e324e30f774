package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// historyCmd shows what an object was.
type historyCmd struct {
	Kind     string `arg:"" complete:"kept" help:"service, upstream, route or runtime."`
	Name     string `arg:"" optional:"" complete:"names" help:"Which one; the runtime layer has no name."`
	Revision int64  `placeholder:"N" help:"Show the object as it was at this revision, as YAML unless -o says otherwise."`
	Diff     string `placeholder:"A..B" help:"Show what differs between two revisions; \"A..\" compares with the newest."`
	Output   string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml."`
}

// Help shows examples below the flags.
func (historyCmd) Help() string {
	return `The newest comes first, and the fields are those in which a state differs from the one before it. Kept are the newest 50 states of each object, for 90 days; of what is older the newest stays. A deleted object's history is kept as well.

Examples:

  heddle history service orders
  heddle history service orders --revision 42
  heddle history service orders --diff 42..57
  heddle history service orders --diff 42..
  heddle history route shop -o json
  heddle history runtime`
}

// Run prints one of the three.
func (c *historyCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	of, err := keptObject(c.Kind, c.Name)
	if err != nil {
		return err
	}
	switch {
	case c.Revision != 0 && c.Diff != "":
		return &cli.UsageError{Message: "--revision shows one state, and --diff compares two: give only one of them"}
	case c.Revision < 0:
		return &cli.UsageError{Message: fmt.Sprintf("--revision %d: a revision is a number above 0", c.Revision)}
	case c.Diff != "" && c.Output != "table":
		return &cli.UsageError{Message: "--diff writes lines, and takes no -o"}
	case c.Revision != 0:
		return c.show(ctx, api, con, of)
	case c.Diff != "":
		return c.diff(ctx, api, con, of)
	}
	states, err := api.History(ctx, of)
	if err != nil {
		return err
	}
	if c.Output != "table" {
		return con.Encode(c.Output, append([]client.Past{}, states...))
	}
	if len(states) == 0 {
		fmt.Fprintln(con.Err, "nothing is kept")
		return nil
	}
	table := present.NewTable(con.Palette, "REVISION", "TIME", "AUTHOR", "ACTION", "CHANGED")
	for _, one := range states {
		tone := present.Faint
		if one.Present {
			tone = present.Good
		}
		at := ""
		if !one.Time.IsZero() {
			at = one.Time.Local().Format(time.DateTime)
		}
		table.Add(append([]present.Cell{{Text: fmt.Sprint(one.Revision), Tone: tone}}, present.Text(at, one.Author, actionText(one), changedText(one))...)...)
	}
	return table.Write(con.Out)
}

// actionText says what was done.
func actionText(one client.Past) string {
	switch {
	case one.To != 0:
		return fmt.Sprintf("%s to %d", one.Action, one.To)
	case one.Action == "":
		return "not known"
	}
	return one.Action
}

func changedText(one client.Past) string {
	if one.Missing != "" {
		return one.Missing
	}
	return strings.Join(one.Changed, ", ")
}

// show writes the object as it was.
func (c *historyCmd) show(ctx context.Context, api *client.Client, con *cli.Console, of client.Kept) error {
	object, err := objectAt(ctx, api, of, c.Revision)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return manifest.JSON(con.Out, []manifest.Object{object}, true)
	}
	return manifest.YAML(con.Out, []manifest.Object{object})
}

// diff tells what differs between two states.
func (c *historyCmd) diff(ctx context.Context, api *client.Client, con *cli.Console, of client.Kept) error {
	from, to, two := strings.Cut(c.Diff, "..")
	first, err := strconv.ParseInt(from, 10, 64)
	if !two || err != nil || first <= 0 {
		return &cli.UsageError{Message: fmt.Sprintf("--diff %s: write two revisions, such as 42..57, or 42.. for what differs from the newest", c.Diff)}
	}
	second, err := strconv.ParseInt(to, 10, 64)
	if to == "" {
		second, err = newestOf(ctx, api, of)
		if err != nil {
			return err
		}
	}
	if err != nil || second <= 0 {
		return &cli.UsageError{Message: fmt.Sprintf("--diff %s: %q is no revision", c.Diff, to)}
	}
	before, err := objectAt(ctx, api, of, first)
	if err != nil {
		return err
	}
	after, err := objectAt(ctx, api, of, second)
	if err != nil {
		return err
	}
	return printEdits(con, before, after)
}

func printEdits(con *cli.Console, before, after manifest.Object) error {
	edits, err := editsBetween(before, after)
	if err != nil {
		return err
	}
	if len(edits) == 0 {
		fmt.Fprintln(con.Out, "no difference")
	}
	for _, e := range edits {
		fmt.Fprintln(con.Out, present.Safe(e.String()))
	}
	return nil
}

// keptObject says which object is meant.
func keptObject(word, name string) (client.Kept, error) {
	kind, err := parseKind(word)
	switch {
	case err != nil:
		return client.Kept{}, err
	case kind == kindInstances:
		return client.Kept{}, &cli.UsageError{Message: "instances have no history: they come and go with their leases"}
	case kind == kindRuntime && name != "":
		return client.Kept{}, &cli.UsageError{Message: "there is one runtime layer, and it has no name"}
	case kind != kindRuntime && name == "":
		return client.Kept{}, &cli.UsageError{Message: fmt.Sprintf("which one? heddle history %s NAME", word)}
	case kind == kindUpstreams:
		kind = kindServices
	}
	return client.Kept{Kind: kind, Name: name}, nil
}

// newestOf gives the newest revision that has an object.
func newestOf(ctx context.Context, api *client.Client, of client.Kept) (int64, error) {
	states, err := api.History(ctx, of)
	if err != nil {
		return 0, err
	}
	for _, one := range states {
		if !one.Deleted && one.Missing == "" {
			return one.Revision, nil
		}
	}
	return 0, mesh.NotFound("nothing is kept of it")
}

// objectAt asks for the object as it was.
func objectAt(ctx context.Context, api *client.Client, of client.Kept, revision int64) (manifest.Object, error) {
	state, err := api.HistoryAt(ctx, of, revision)
	switch {
	case err != nil:
		return manifest.Object{}, err
	case state.Deleted:
		return manifest.Object{}, mesh.NotFound("revision %d is its deletion: there was no such object", revision)
	case len(state.Object) == 0:
		return manifest.Object{}, mesh.NotFound("revision %d is not to be had: %s", revision, state.Missing)
	}
	switch of.Kind {
	case kindRoutes:
		return decoded[mesh.Route](state.Object)
	case kindRuntime:
		return decoded[mesh.Runtime](state.Object)
	}
	return decoded[mesh.Service](state.Object)
}

func decoded[T mesh.Service | mesh.Route | mesh.Runtime](data []byte) (manifest.Object, error) {
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		return manifest.Object{}, fmt.Errorf("the server's answer is not what it was asked for: %w", err)
	}
	return manifest.Of(value), nil
}
