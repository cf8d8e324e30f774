package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// deleteCmd deletes objects.
type deleteCmd struct {
	Kind  string   `arg:"" optional:"" complete:"deletable" help:"service, upstream, route or instance."`
	Names []string `arg:"" optional:"" name:"name" complete:"names" help:"Which ones; an instance is SERVICE/ID."`
	Files []string `name:"file" short:"f" sep:"none" complete:"files" placeholder:"FILE|DIR|-" help:"Delete the objects that these files hold; those that are gone already are no fault."`
}

// Help shows examples below the flags.
func (deleteCmd) Help() string {
	return `Nothing is asked before it is done.

Examples:

  heddle delete service reviews
  heddle delete route shop blog
  heddle delete instance orders/orders-2
  heddle delete -f mesh.yaml`
}

// Run deletes what it can and tells the rest.
func (c *deleteCmd) Run(ctx context.Context, api *client.Client, con *console) error {
	if len(c.Files) > 0 {
		if c.Kind != "" {
			return &usageError{message: "name either files (-f) or a kind with names, not both"}
		}
		return c.deleteFiles(ctx, api, con)
	}
	if c.Kind == "" || len(c.Names) == 0 {
		return &usageError{message: "say what to delete: a kind with names, as in \"heddle delete service web\", or -f FILE"}
	}
	kind, err := parseKind(c.Kind)
	if err != nil {
		return err
	}
	if kind == kindRuntime {
		return &usageError{message: "the runtime layer cannot be deleted: remove its keys with \"heddle runtime unset\""}
	}
	var wrong []error
	for _, name := range c.Names {
		err := deleteOne(ctx, api, kind, name)
		if mesh.KindOf(err) == mesh.KindNotFound {
			err = suggest(ctx, api, kind, name, err)
		}
		if err != nil {
			wrong = append(wrong, err)
			if stops(err) {
				break
			}
			continue
		}
		fmt.Fprintf(con.out, "%s/%s deleted\n", singular(kind), present.Safe(name))
	}
	return joinErrors(wrong)
}

func deleteOne(ctx context.Context, api *client.Client, kind, name string) error {
	switch kind {
	case kindServices:
		return api.DeleteService(ctx, mesh.ServiceName(name), 0)
	case kindUpstreams:
		service, err := api.Service(ctx, mesh.ServiceName(name))
		if err != nil {
			return err
		}
		if service.Endpoints.Registered() {
			return mesh.NotFound("service %q is no upstream: its instances are registered one by one; delete it as a service", name)
		}
		return api.DeleteService(ctx, mesh.ServiceName(name), service.Meta.Revision)
	case kindRoutes:
		return api.DeleteRoute(ctx, mesh.RouteName(name), 0)
	}
	service, id, one := strings.Cut(name, "/")
	if !one {
		return &usageError{message: fmt.Sprintf("an instance is named SERVICE/ID; %q has no \"/\"", name)}
	}
	return api.Deregister(ctx, mesh.InstanceKey{Service: mesh.ServiceName(service), ID: mesh.InstanceID(id)}, "")
}

// deleteFiles deletes in the reverse of the order in which apply writes.
func (c *deleteCmd) deleteFiles(ctx context.Context, api *client.Client, con *console) error {
	objects, err := manifest.Read(c.Files, con.in)
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
	var wrong []error
	for i := range objects {
		o := &objects[i]
		err := deleteOne(ctx, api, kinds[o.Kind], o.Name())
		switch {
		case err == nil:
			fmt.Fprintf(con.out, "%s deleted\n", o)
		case mesh.KindOf(err) == mesh.KindNotFound:
			fmt.Fprintf(con.out, "%s was not there\n", o)
		default:
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", o.Locate("", "").Place(), o, err))
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
