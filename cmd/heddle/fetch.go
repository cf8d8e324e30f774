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
)

// holding is a part of what the mesh holds.
type holding struct {
	objects  []manifest.Object
	declared map[mesh.ServiceName]bool               // for routes: which services there are; nil: not known
	pending  map[mesh.ServiceName][]mesh.ServiceName // by service: dependencies that nobody has declared
	waiting  map[mesh.ServiceName][]mesh.ServiceName // by service: dependencies whose owners have not approved it
}

func (h *holding) addService(s client.Service) {
	h.objects = append(h.objects, manifest.Of(s.Service))
	if len(s.Status.Pending) > 0 {
		h.pending[s.Name] = s.Status.Pending
	}
	if barred := slices.Concat(s.Status.Unapproved, s.Status.Refused); len(barred) > 0 {
		h.waiting[s.Name] = barred
	}
}

// list asks for all objects of a kind.
func list(ctx context.Context, c *client.Client, kind string) (holding, error) {
	h := holding{pending: map[mesh.ServiceName][]mesh.ServiceName{}, waiting: map[mesh.ServiceName][]mesh.ServiceName{}}
	switch kind {
	case kindServices, kindUpstreams:
		services, err := c.Services(ctx)
		for _, s := range services {
			if kind == kindServices || s.Endpoints.Own() {
				h.addService(s)
			}
		}
		return h, err
	case kindInstances:
		instances, err := c.Instances(ctx, "")
		h.objects = objectsOf(instances)
		return h, err
	case kindRoutes:
		routes, err := c.Routes(ctx)
		h.objects = objectsOf(routes)
		return h, err
	}
	runtime, err := c.Runtime(ctx)
	h.objects = []manifest.Object{manifest.Of(runtime)}
	return h, err
}

// pick asks for the objects of a kind with these names. Those that it found
// come back also when others are missing, which the error tells.
func pick(ctx context.Context, c *client.Client, kind string, names []string) (holding, error) {
	h := holding{pending: map[mesh.ServiceName][]mesh.ServiceName{}, waiting: map[mesh.ServiceName][]mesh.ServiceName{}}
	var missing []error
	for _, name := range names {
		err := pickOne(ctx, c, kind, name, &h)
		if mesh.KindOf(err) == mesh.KindNotFound {
			missing = append(missing, suggest(ctx, c, kind, name, err))
			continue
		}
		if err != nil {
			return h, err
		}
	}
	return h, joinErrors(missing)
}

func pickOne(ctx context.Context, c *client.Client, kind, name string, h *holding) error {
	switch kind {
	case kindServices, kindUpstreams:
		service, err := c.Service(ctx, mesh.ServiceName(name))
		if err != nil {
			return err
		}
		if kind == kindUpstreams && !service.Endpoints.Own() {
			return mesh.NotFound("service %q is no upstream: its endpoints are not part of its declaration", name)
		}
		h.addService(service)
		return nil
	case kindRoutes:
		route, err := c.Route(ctx, mesh.RouteName(name))
		if err == nil {
			h.objects = append(h.objects, manifest.Of(route))
		}
		return err
	case kindInstances:
		service, id, one := strings.Cut(name, "/")
		instances, err := c.Instances(ctx, mesh.ServiceName(service))
		if err != nil {
			return err
		}
		if one {
			instances = slices.DeleteFunc(instances, func(i mesh.Instance) bool { return string(i.ID) != id })
			if len(instances) == 0 {
				return mesh.NotFound("service %q has no instance %q", service, id)
			}
		} else if len(instances) == 0 {
			if _, err := c.Service(ctx, mesh.ServiceName(service)); err != nil {
				return err
			}
		}
		h.objects = append(h.objects, objectsOf(instances)...)
		return nil
	}
	return &cli.UsageError{Message: "there is one runtime layer, and it has no name"}
}

// suggest adds the name that was probably meant to a not-found error. For an
// instance it is the service's name, or else the instance's own.
func suggest(ctx context.Context, c *client.Client, kind, name string, notFound error) error {
	guesses := [][2]string{{kind, name}} // of which names, and like what
	if service, id, one := strings.Cut(name, "/"); kind == kindInstances {
		guesses = [][2]string{{kindServices, service}}
		if one {
			guesses = append(guesses, [2]string{"instances of " + service, id})
		}
	}
	for _, try := range guesses {
		names, err := namesOf(ctx, c, try[0])
		if err != nil {
			return notFound // a guess is not worth a second error
		}
		if slices.Contains(names, try[1]) {
			continue
		}
		if guess := didYouMean(try[1], names); guess != "" {
			return &cli.Hinted{Err: notFound, Hint: guess}
		}
	}
	return notFound
}

// namesOf gives the names of a kind, of tokens, or of "instances of SERVICE".
func namesOf(ctx context.Context, c *client.Client, what string) ([]string, error) {
	var names []string
	if service, ok := strings.CutPrefix(what, "instances of "); ok {
		instances, err := c.Instances(ctx, mesh.ServiceName(service))
		for _, i := range instances {
			names = append(names, string(i.ID))
		}
		return names, err
	}
	if what == "tokens" {
		tokens, err := c.Tokens(ctx)
		for _, token := range tokens {
			names = append(names, token.ID)
		}
		return names, err
	}
	if what == kindVMs {
		all, err := c.VMs(ctx, "")
		for i := range all.VMs {
			names = append(names, all.VMs[i].Name)
		}
		return names, err
	}
	if what == "sources" {
		all, err := c.Discovery(ctx)
		for i := range all.Sources {
			names = append(names, all.Sources[i].Name)
		}
		return names, err
	}
	if what == "nodes" {
		proxies, err := c.Proxies(ctx)
		for _, one := range proxies {
			if !slices.Contains(names, one.Node) {
				names = append(names, one.Node)
			}
		}
		return names, err
	}
	if !slices.Contains([]string{kindServices, kindUpstreams, kindInstances, kindRoutes}, what) {
		return nil, fmt.Errorf("%s have no names", what)
	}
	held, err := list(ctx, c, what)
	for i := range held.objects {
		names = append(names, held.objects[i].Name())
	}
	return names, err
}

func objectsOf[T mesh.Service | mesh.Instance | mesh.Route | mesh.Runtime](values []T) []manifest.Object {
	objects := make([]manifest.Object, len(values))
	for i, value := range values {
		objects[i] = manifest.Of(value)
	}
	return objects
}
