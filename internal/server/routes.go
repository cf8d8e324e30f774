package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// RoutePath is the path parameter.
type RoutePath struct {
	Name string `path:"name" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"The route's name, a DNS label." example:"shop"`
}

// RouteAnswer is one route.
type RouteAnswer struct {
	ETag     string `header:"ETag" doc:"The revision in quotes, for If-Match." example:"\"42\""`
	Location string `header:"Location" doc:"Where it is, after a creation."`
	Body     mesh.Route
}

const routeExample = `{"name":"shop","owner":"team-shop","hosts":["shop.example.com"],"backends":[{"service":"web","weight":1}]}`

func (s *Server) routeOperations() {
	const path, tag = "/api/v1/routes", "routes"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "listRoutes", summary: "List the routes, by name"}, s.listRoutes)
	register(s, operation{
		method: http.MethodPost, path: path, tag: tag, id: "createRoute", summary: "Create a route",
		status: http.StatusCreated, body: mesh.Route{}, example: routeExample, token: true, refusals: []int{http.StatusConflict},
	}, s.createRoute)
	register(s, operation{
		method: http.MethodGet, path: path + "/{name}", tag: tag, id: "getRoute", summary: "Get a route",
		refusals: []int{http.StatusNotFound},
	}, s.getRoute)
	register(s, operation{
		method: http.MethodPut, path: path + "/{name}", tag: tag, id: "putRoute", summary: "Create a route, or replace it",
		body: mesh.Route{}, example: routeExample, token: true, refusals: []int{http.StatusConflict, http.StatusNotFound},
	}, s.putRoute)
	register(s, operation{
		method: http.MethodDelete, path: path + "/{name}", tag: tag, id: "deleteRoute", summary: "Delete a route",
		status: http.StatusNoContent, token: true, refusals: []int{http.StatusConflict, http.StatusNotFound},
	}, s.deleteRoute)
}

func (s *Server) listRoutes(ctx context.Context, _ *struct{}) (*Listed[mesh.Route], error) {
	all, revision, err := s.cfg.Registry.Routes(ctx)
	if err != nil {
		return nil, err
	}
	return listed(all, revision), nil
}

func (s *Server) getRoute(ctx context.Context, in *RoutePath) (*RouteAnswer, error) {
	if err := routeNameFault(in.Name); err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.Route(ctx, mesh.RouteName(in.Name))
	if err != nil {
		return nil, err
	}
	return &RouteAnswer{ETag: etag(stored.Meta.Revision), Body: stored}, nil
}

func (s *Server) createRoute(ctx context.Context, in *struct {
	Call
	Repeatable
	Keeping
}) (*RouteAnswer, error) {
	return s.writeRoute(ctx, &in.Call, "")
}

func (s *Server) putRoute(ctx context.Context, in *struct {
	Call
	Repeatable
	Keeping
	Conditions
	RoutePath
}) (*RouteAnswer, error) {
	return s.writeRoute(ctx, &in.Call, in.Name)
}

// writeRoute creates (inPath "") or puts. A route may lead to services that
// are not there yet.
func (s *Server) writeRoute(ctx context.Context, call *Call, inPath string) (*RouteAnswer, error) {
	token, err := s.declarer(ctx, call, admin, nil)
	if err != nil {
		return nil, err
	}
	var route mesh.Route
	if err := call.decode(&route); err != nil {
		return nil, err
	}
	name, err := nameInPath(inPath, string(route.Name))
	if err != nil {
		return nil, err
	}
	route.Name = mesh.RouteName(name)
	call.object = "route/" + shown(name)
	write, err := call.write(token)
	if err != nil {
		return nil, err
	}
	present := s.routeRevision(route.Name)
	if write.Create = inPath == ""; !write.Create {
		if err := call.conditional(ctx, &write, route.Meta.Revision, present); err != nil {
			return nil, err
		}
	}
	if err := mesh.Invalid("route "+shown(name)+" cannot be like this", route.Validate()); err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.PutRoute(ctx, route, write)
	if err != nil {
		return nil, s.conflict(ctx, err, present)
	}
	answer := &RouteAnswer{ETag: etag(stored.Meta.Revision), Body: stored}
	if write.Create {
		answer.Location = "/api/v1/routes/" + name
	}
	return answer, nil
}

func (s *Server) deleteRoute(ctx context.Context, in *struct {
	Call
	Repeatable
	Keeping
	Conditions
	RoutePath
}) (*Nothing, error) {
	name := mesh.RouteName(in.Name)
	present := s.routeRevision(name)
	write, err := s.deletion(ctx, &in.Call, admin, routeNameFault(in.Name), present)
	if err != nil {
		return nil, err
	}
	return &Nothing{}, s.conflict(ctx, s.cfg.Registry.DeleteRoute(ctx, name, write), present)
}

func (s *Server) routeRevision(name mesh.RouteName) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		stored, err := s.cfg.Registry.Route(ctx, name)
		return stored.Meta.Revision, err
	}
}
