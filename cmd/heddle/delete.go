package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// deleteCmd deletes objects.
type deleteCmd struct {
	Kind  string   `arg:"" optional:"" complete:"deletable" help:"service, upstream, route or instance."`
	Names []string `arg:"" optional:"" name:"name" complete:"names" help:"Which ones; an instance is SERVICE/ID."`
	Force bool     `help:"Delete services although others depend on them, who get a 503 from then on."`
	Files []string `name:"file" short:"f" sep:"none" complete:"files" placeholder:"FILE|DIR|-" help:"Delete the objects that these files hold; those that are gone already are no fault."`
}

// Help shows examples below the flags.
func (deleteCmd) Help() string {
	return `Nothing is asked before it is done. A service that others declare, or that routes lead to, is not deleted unless that is forced; who depends on it is told, and "heddle impact NAME --delete" says what would become of them. Of several services those are deleted first that call the others, so that a whole set of them needs no force. Instances stay registered until their leases end, which is warned of.

Examples:

  heddle delete service reviews
  heddle delete service orders --force
  heddle delete route shop blog
  heddle delete instance orders/orders-2
  heddle delete -f mesh.yaml`
}

// Run deletes what it can and tells the rest.
func (c *deleteCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if len(c.Files) > 0 {
		if c.Kind != "" {
			return &cli.UsageError{Message: "name either files (-f) or a kind with names, not both"}
		}
		return c.deleteFiles(ctx, api, con)
	}
	if c.Kind == "" || len(c.Names) == 0 {
		return &cli.UsageError{Message: "say what to delete: a kind with names, as in \"heddle delete service web\", or -f FILE"}
	}
	kind, err := parseKind(c.Kind)
	if err != nil {
		return err
	}
	if kind == kindRuntime {
		return &cli.UsageError{Message: "the runtime layer cannot be deleted: remove its keys with \"heddle runtime unset\""}
	}
	d := deleter{api: api, force: c.Force}
	names := c.Names
	if kind == kindServices || kind == kindUpstreams {
		names = d.plan(ctx, c.Names, nil)
	} else if c.Force {
		return &cli.UsageError{Message: "--force is for services: nothing depends on a " + singular(kind)}
	}
	var wrong []error
	for _, name := range names {
		warning, err := d.delete(ctx, kind, name)
		if mesh.KindOf(err) == mesh.KindNotFound {
			err = suggest(ctx, api, kind, name, err)
		}
		if err != nil {
			wrong, d.failed = append(wrong, err), true
			if stops(err) {
				break
			}
			continue
		}
		fmt.Fprintf(con.Out, "%s/%s deleted\n", singular(kind), present.Safe(name))
		con.Warn(warning)
	}
	return joinErrors(wrong)
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// deleteFiles deletes in the reverse of the order in which apply writes, and of the
// services the callers first.
func (c *deleteCmd) deleteFiles(ctx context.Context, api *client.Client, con *cli.Console) error {
	objects, err := manifest.Read(c.Files, con.In)
	if err != nil {
		return invalid(err)
	}
	for i := range objects {
		if objects[i].Kind == manifest.KindRuntime {
			return invalid(fmt.Errorf("%s: the runtime layer cannot be deleted: remove its keys with \"heddle runtime unset\"", objects[i].Locate("", "").Place()))
		}
	}
	slices.SortStableFunc(objects, func(a, b manifest.Object) int { return rank(b.Kind) - rank(a.Kind) })
	kinds := map[manifest.Kind]string{manifest.KindService: kindServices, manifest.KindRoute: kindRoutes, manifest.KindInstance: kindInstances}
	d := deleter{api: api, force: c.Force}
	var wrong []error
	for _, o := range d.order(ctx, objects) {
		warning, err := d.delete(ctx, kinds[o.Kind], o.Name())
		switch {
		case err == nil:
			fmt.Fprintf(con.Out, "%s deleted\n", o)
			con.Warn(warning)
		case mesh.KindOf(err) == mesh.KindNotFound:
			fmt.Fprintf(con.Out, "%s was not there\n", o)
		default:
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", o.Locate("", "").Place(), o, err))
			d.failed = true
		}
		if stops(err) {
			break
		}
	}
	return joinErrors(wrong)
}

// singular is how an object of a kind is named: "service/web".
func singular(kind string) string {
	if kind == kindUpstreams {
		kind = kindServices
	}
	return strings.TrimSuffix(kind, "s")
}
