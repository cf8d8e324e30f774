package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// runtimeCmd groups what is done with the runtime layer.
type runtimeCmd struct {
	Get   runtimeGetCmd   `cmd:"" help:"Show the runtime layer."`
	Set   runtimeSetCmd   `cmd:"" help:"Set keys, and leave the others as they are."`
	Unset runtimeUnsetCmd `cmd:"" help:"Remove keys."`
}

// Help shows examples below the commands.
func (runtimeCmd) Help() string {
	return `The runtime layer "heddle" reaches every proxy at once. Its keys are Envoy's.

Example:

  heddle runtime get`
}

type runtimeGetCmd struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"table, json or yaml; apply takes json and yaml back."`
}

// Help shows examples below the flags.
func (runtimeGetCmd) Help() string {
	return "Examples:\n\n  heddle runtime get\n  heddle runtime get -o yaml"
}

type runtimeSetCmd struct {
	TTL    *time.Duration `placeholder:"DURATION" help:"How long a proxy keeps the whole layer after it lost its control planes: 5s to 24h; 0s: for as long as it runs."`
	Values []string       `arg:"" optional:"" name:"key=value" help:"Keys and their values: numbers, true, false, or text."`
}

// Help shows examples below the flags.
func (runtimeSetCmd) Help() string {
	return `A value in double quotes is text, whatever it looks like. For a layer that must not outlive the control plane, such as injected faults, give --ttl.

Examples:

  heddle runtime set envoy.reloadable_features.x=false
  heddle runtime set upstream.healthy_panic_threshold=20 'note="20"'
  heddle runtime set --ttl 30s fault.http.abort.abort_percent=5`
}

type runtimeUnsetCmd struct {
	Keys []string `arg:"" name:"key" help:"The keys."`
}

// Help shows examples below the flags.
func (runtimeUnsetCmd) Help() string {
	return "Example:\n\n  heddle runtime unset upstream.healthy_panic_threshold"
}

// Run shows the layer.
func (c *runtimeGetCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	runtime, err := api.Runtime(ctx)
	if err != nil {
		return err
	}
	objects := []manifest.Object{manifest.Of(runtime)}
	switch c.Output {
	case "json":
		return manifest.JSON(con.Out, objects, true)
	case "yaml":
		return manifest.YAML(con.Out, objects)
	}
	return runtimeTable(con.Palette, runtime).Write(con.Out)
}

// Run sets keys.
func (c *runtimeSetCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if len(c.Values) == 0 && c.TTL == nil {
		return &cli.UsageError{Message: "expected \"<key=value> ...\""}
	}
	given := map[string]any{}
	for _, word := range c.Values {
		key, text, found := strings.Cut(word, "=")
		if !found || key == "" {
			return &cli.UsageError{Message: fmt.Sprintf("%q is not KEY=VALUE", word)}
		}
		given[key] = runtimeValue(text)
	}
	return changeRuntime(ctx, api, con, func(layer *mesh.Runtime) error {
		maps.Copy(layer.Values, given)
		if c.TTL != nil {
			layer.TTL = mesh.Duration(*c.TTL)
		}
		return nil
	})
}

// Run removes keys, all or none.
func (c *runtimeUnsetCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	return changeRuntime(ctx, api, con, func(layer *mesh.Runtime) error {
		values := layer.Values
		var missing []error
		for _, key := range c.Keys {
			if _, there := values[key]; !there {
				err := mesh.NotFound("the runtime layer has no key %q", key)
				if guess := didYouMean(key, slices.Sorted(maps.Keys(values))); guess != "" {
					err = &cli.Hinted{Err: err, Hint: guess}
				}
				missing = append(missing, err)
			}
			delete(values, key)
		}
		return joinErrors(missing)
	})
}

// runtimeValue reads a number, a boolean or a text in quotes; what is none of
// these is text as it stands.
func runtimeValue(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		switch value.(type) {
		case float64, bool, string:
			return value
		}
	}
	return text
}

// changeRuntime reads the layer, changes it and writes it, again when somebody
// else wrote it in between.
func changeRuntime(ctx context.Context, api *client.Client, con *cli.Console, change func(*mesh.Runtime) error) error {
	const most = 20
	for attempt := 1; ; attempt++ {
		before, err := api.Runtime(ctx)
		if mesh.ReasonOf(err) == mesh.ReasonCorrupt {
			return &cli.Hinted{Err: err, Hint: "its keys are lost: write all that are to be there into a file of kind Runtime and run heddle apply -f FILE, which replaces the layer"}
		}
		if err != nil {
			return err
		}
		after := before
		after.Values = maps.Clone(before.Values)
		if after.Values == nil {
			after.Values = map[string]any{}
		}
		if err := change(&after); err != nil {
			return err
		}
		edits, err := editsBetween(manifest.Of(before), manifest.Of(after))
		if err != nil {
			return err
		}
		if len(edits) > 0 {
			err = writeRuntime(ctx, api, after)
		}
		if mesh.KindOf(err) == mesh.KindConflict && attempt < most {
			continue
		}
		if err != nil {
			return err
		}
		if len(edits) == 0 {
			fmt.Fprintln(con.Out, "runtime unchanged")
		}
		for _, e := range edits {
			fmt.Fprintln(con.Out, present.Safe(e.String()))
		}
		return nil
	}
}

// writeRuntime replaces the layer that was read, or creates it if there was none:
// never one that somebody else wrote in between.
func writeRuntime(ctx context.Context, api *client.Client, layer mesh.Runtime) error {
	if layer.Meta.Revision == 0 {
		_, err := api.CreateRuntime(ctx, layer)
		return err
	}
	_, err := api.PutRuntime(ctx, layer)
	return err
}
