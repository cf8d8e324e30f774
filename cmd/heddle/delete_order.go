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

// deleter deletes objects one by one.
type deleter struct {
	api   *client.Client
	force bool

	callers map[mesh.ServiceName][]string // by service that goes: the services that declare it and stay
	routes  map[mesh.ServiceName][]string // by service that goes: the routes that lead to it and stay
	circle  map[string]bool               // services that one that goes later calls: no order would do
	failed  bool                          // something else did not go
}

// plan puts services that are to be deleted into an order in which those who call
// go before those whom they call, by what the mesh holds. Where they call each other
// in a circle one has to go first, and is forced if nobody else depends on it. What
// cannot be asked is left for the server to say.
func (d *deleter) plan(ctx context.Context, names, routesToo []string) []string {
	d.callers, d.routes, d.circle = map[mesh.ServiceName][]string{}, map[mesh.ServiceName][]string{}, map[string]bool{}
	if services, err := d.api.Services(ctx); err == nil {
		d.noteCallers(services, names)
		names = d.callersFirst(services, names)
	}
	if routes, err := d.api.Routes(ctx); err == nil {
		for i := range routes {
			for _, service := range routes[i].Services() {
				if !slices.Contains(routesToo, string(routes[i].Name)) {
					d.routes[service] = append(d.routes[service], string(routes[i].Name))
				}
			}
		}
	}
	return names
}

// noteCallers finds who is declared to call the services and stays.
func (d *deleter) noteCallers(services []client.Service, names []string) {
	goes := map[mesh.ServiceName]bool{}
	for _, name := range names {
		goes[mesh.ServiceName(name)] = true
	}
	for _, s := range services {
		if goes[s.Name] {
			continue
		}
		for _, callee := range s.Dependencies {
			if goes[callee] {
				d.callers[callee] = append(d.callers[callee], string(s.Name))
			}
		}
	}
}

// callersFirst sorts names: whenever nobody who is left calls a service, it is next.
func (d *deleter) callersFirst(services []client.Service, names []string) []string {
	left := map[string][]string{} // what each that is left is called by, of those that are left
	for _, name := range names {
		left[name] = nil
	}
	for _, s := range services {
		for _, callee := range s.Dependencies {
			_, caller := left[string(s.Name)]
			if _, goes := left[string(callee)]; goes && caller && callee != s.Name {
				left[string(callee)] = append(left[string(callee)], string(s.Name))
			}
		}
	}
	called := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(left[name]), func(caller string) bool { _, is := left[caller]; return !is })
	}
	out := make([]string, 0, len(names))
	for rest := slices.Clone(names); len(rest) > 0; {
		next := slices.IndexFunc(rest, func(name string) bool { return len(called(name)) == 0 })
		if next < 0 { // up along the callers there is a circle
			seen, at := map[string]bool{}, rest[0]
			for ; !seen[at]; at = called(at)[0] {
				seen[at] = true
			}
			d.circle[at] = true
			next = slices.Index(rest, at)
		}
		out = append(out, rest[next])
		delete(left, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	return out
}

// order is plan for the objects of files, which are sorted by kind already.
func (d *deleter) order(ctx context.Context, objects []manifest.Object) []*manifest.Object {
	var services, routes []string
	byName := map[string]*manifest.Object{}
	var out []*manifest.Object
	for i := range objects {
		switch o := &objects[i]; o.Kind {
		case manifest.KindService:
			services = append(services, o.Name())
			byName[o.Name()] = o
		case manifest.KindRoute:
			routes = append(routes, o.Name())
			out = append(out, o)
		default:
			out = append(out, o)
		}
	}
	for _, name := range d.plan(ctx, services, routes) {
		out = append(out, byName[name])
	}
	return out
}

// delete deletes one object, and warns of what goes on without it.
func (d *deleter) delete(ctx context.Context, kind, name string) (warning string, err error) {
	switch kind {
	case kindServices, kindUpstreams:
		service := mesh.ServiceName(name)
		warning = d.leftBehind(ctx, service)
		err := d.deleteService(ctx, kind, service)
		switch mesh.ReasonOf(err) {
		case mesh.ReasonKept:
			err = &cli.Hinted{Err: err, Hint: fmt.Sprintf("--force is no help against a keeper: delete it where it is kept, and it goes here too; if its keeper is gone for good, \"heddle release service %s\" first", name)}
		case mesh.ReasonDependents:
			err = &cli.Hinted{Err: err, Hint: fmt.Sprintf("see what would become of them with \"heddle impact %s --delete\"; --force deletes it all the same", name)}
		}
		return warning, err
	case kindRoutes:
		return "", d.api.DeleteRoute(ctx, mesh.RouteName(name), 0)
	}
	service, id, one := strings.Cut(name, "/")
	if !one {
		return "", &cli.UsageError{Message: fmt.Sprintf("an instance is named SERVICE/ID; %q has no \"/\"", name)}
	}
	return "", d.api.Deregister(ctx, mesh.InstanceKey{Service: mesh.ServiceName(service), ID: mesh.InstanceID(id)}, "")
}

func (d *deleter) deleteService(ctx context.Context, kind string, name mesh.ServiceName) error {
	var revision int64
	if kind == kindUpstreams {
		service, err := d.api.Service(ctx, name)
		if err != nil {
			return err
		}
		if !service.Endpoints.Own() {
			return mesh.NotFound("service %q is no upstream: its endpoints are not part of its declaration; delete it as a service", name)
		}
		revision = service.Meta.Revision
	}
	if d.force || d.circle[string(name)] && !d.failed && len(d.callers[name])+len(d.routes[name]) == 0 {
		return d.api.ForceDeleteService(ctx, name, revision)
	}
	return d.api.DeleteService(ctx, name, revision)
}

// leftBehind warns of what goes on with a service that is deleted: who depends on
// it gets a 503 from now on, and its instances stay registered. What cannot be asked
// is not told.
func (d *deleter) leftBehind(ctx context.Context, name mesh.ServiceName) string {
	var parts []string
	if still := d.callers[name]; len(still) > 0 {
		parts = append(parts, fmt.Sprintf("%s still declared to call it, with a 503 from now on (%s)", plural(len(still), "service is", "services are"), present.CutList(still)))
	}
	if still := d.routes[name]; len(still) > 0 {
		parts = append(parts, fmt.Sprintf("%s to it, with a 503 from now on (%s)", plural(len(still), "route still leads", "routes still lead"), present.CutList(still)))
	}
	if instances, err := d.api.Instances(ctx, name); err == nil && len(instances) > 0 {
		parts = append(parts, fmt.Sprintf("%s still registered, until the lease ends", plural(len(instances), "instance is", "instances are")))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("warning: service/%s: %s", name, strings.Join(parts, "; "))
}
