package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// watchCmd follows changes.
type watchCmd struct {
	Since  int64  `placeholder:"REVISION" help:"Begin behind this revision; left out, with what there is now."`
	Output string `short:"o" enum:"lines,json" default:"lines" help:"lines, or json: one object on each line."`
}

// Help shows examples below the flags.
func (watchCmd) Help() string {
	return `Stays until Ctrl-C, and goes on by itself when the server was away. It begins with what there is ("reset"), says when that is all ("synced"), and then writes each change. After a break a change may come twice.

Examples:

  heddle watch
  heddle watch -o json | jq -c 'select(.deleted)'`
}

// Run prints events until ctx ends, which is no error.
func (c *watchCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.Since < 0 {
		return &cli.UsageError{Message: "--since is a revision: a whole number from 0"}
	}
	enc := json.NewEncoder(con.Out)
	enc.SetEscapeHTML(false)
	err := api.Events(ctx, c.Since, func(e client.Event) error {
		if c.Output == "json" {
			return enc.Encode(e)
		}
		_, err := fmt.Fprintln(con.Out, eventLine(con.Palette, e))
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// eventLine tells an event on one line.
func eventLine(p present.Palette, e client.Event) string {
	if e.Type != client.EventChange {
		return p.Paint(present.Faint, fmt.Sprintf("%d %s", e.Revision, e.Type))
	}
	o, verb, tone := eventObject(e), "put", present.Good
	if e.Deleted {
		verb, tone = "deleted", present.Bad
	}
	if o == nil { // of a kind that a newer server knows
		return fmt.Sprintf("%d %s", e.Revision, verb)
	}
	parts := []string{fmt.Sprint(e.Revision), present.Safe(o.String()), p.Paint(tone, verb)}
	if meta := o.Meta(); !e.Deleted && meta.Author != "" {
		parts = append(parts, "by", present.Safe(meta.Author))
	}
	if o.Kind == manifest.KindInstance && !e.Deleted {
		parts = append(parts, "at", present.Safe(dialAddress(o.Instance.Address, o.Instance.Port)), string(cmp.Or(o.Instance.Health, mesh.Healthy)))
	}
	return strings.Join(parts, " ")
}

func eventObject(e client.Event) *manifest.Object {
	switch {
	case e.Service != nil:
		return &manifest.Object{Kind: manifest.KindService, Service: e.Service}
	case e.Instance != nil:
		return &manifest.Object{Kind: manifest.KindInstance, Instance: e.Instance}
	case e.Route != nil:
		return &manifest.Object{Kind: manifest.KindRoute, Route: e.Route}
	case e.Runtime != nil:
		return &manifest.Object{Kind: manifest.KindRuntime, Runtime: e.Runtime}
	}
	return nil
}
