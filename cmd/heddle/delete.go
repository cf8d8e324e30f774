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
	return `Nothing is asked before it is done. A deleted service that others are still declared to call, or that still has instances, is warned of.

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
	var services []string
	if kind == kindServices || kind == kindUpstreams {
		services = c.Names
	}
	callers := callersLeft(ctx, api, services)
	var wrong []error
	for _, name := range c.Names {
		warning := ""
		if len(services) > 0 {
			warning = leftBehind(ctx, api, mesh.ServiceName(name), callers)
		}
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
		con.warn(warning)
	}
	return joinErrors(wrong)
}

// callersLeft gives, for each of the services that are to be deleted, those that
// are declared to call it and stay. What cannot be asked is not told.
func callersLeft(ctx context.Context, api *client.Client, deleted []string) map[mesh.ServiceName][]string {
	if len(deleted) == 0 {
		return nil
	}
	callers := map[mesh.ServiceName][]string{}
	for _, name := range deleted {
		callers[mesh.ServiceName(name)] = nil
	}
	services, err := api.Services(ctx)
	if err != nil {
		return callers
	}
	for _, s := range services {
		if _, goes := callers[s.Name]; goes {
			continue
		}
		for _, callee := range s.Dependencies {
			if _, goes := callers[callee]; goes {
				callers[callee] = append(callers[callee], string(s.Name))
			}
		}
	}
	return callers
}

// leftBehind warns of what goes on with a service that is deleted: its callers
// get a 503 from now on, and its instances stay registered. What cannot be asked
// is not told.
func leftBehind(ctx context.Context, api *client.Client, name mesh.ServiceName, callers map[mesh.ServiceName][]string) string {
	var parts []string
	if still := callers[name]; len(still) > 0 {
		parts = append(parts, fmt.Sprintf("%s still declared to call it, with a 503 from now on (%s)", plural(len(still), "service is", "services are"), cutList(still)))
	}
	if instances, err := api.Instances(ctx, name); err == nil && len(instances) > 0 {
		parts = append(parts, fmt.Sprintf("%s still registered, until the lease ends", plural(len(instances), "instance is", "instances are")))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("warning: service/%s: %s", name, strings.Join(parts, "; "))
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
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
	var services []string
	for i := range objects {
		if objects[i].Kind == manifest.KindService {
			services = append(services, objects[i].Name())
		}
	}
	callers := callersLeft(ctx, api, services)
	var wrong []error
	for i := range objects {
		o := &objects[i]
		warning := ""
		if o.Kind == manifest.KindService {
			warning = leftBehind(ctx, api, mesh.ServiceName(o.Name()), callers)
		}
		err := deleteOne(ctx, api, kinds[o.Kind], o.Name())
		switch {
		case err == nil:
			fmt.Fprintf(con.out, "%s deleted\n", o)
			con.warn(warning)
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
