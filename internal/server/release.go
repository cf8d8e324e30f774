package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// Release says who keeps an object from now on.
type Release struct {
	To mesh.Keeper `json:"to,omitempty" doc:"The keeper that has it from now on; left out, nobody in particular." example:"kubernetes/prod/shop/orders"`
}

func (s *Server) releaseOperations() {
	const description = "The object stays as it is. Without a keeper whoever has the right may write it again; its former keeper does not take it back by itself. For admins."
	register(s, operation{
		method: http.MethodPost, path: "/api/v1/services/{name}/release", tag: "services", id: "releaseService", summary: "Take a service out of its keeper's hands, or into another's",
		description: description, body: Release{}, example: `{}`, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.releaseService)
	register(s, operation{
		method: http.MethodPost, path: "/api/v1/routes/{name}/release", tag: "routes", id: "releaseRoute", summary: "Take a route out of its keeper's hands, or into another's",
		description: description, body: Release{}, example: `{}`, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.releaseRoute)
}

func (s *Server) releaseService(ctx context.Context, in *struct {
	Call
	ServicePath
}) (*ServiceAnswer, error) {
	name := mesh.ServiceName(in.Name)
	in.object, in.service = "service/"+shown(in.Name), name
	to, write, err := s.release(ctx, &in.Call, serviceNameFault(in.Name))
	if err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.ReleaseService(ctx, name, to, write)
	if err != nil {
		return nil, err
	}
	return s.serviceAnswer(ctx, stored)
}

func (s *Server) releaseRoute(ctx context.Context, in *struct {
	Call
	RoutePath
}) (*RouteAnswer, error) {
	in.object = "route/" + shown(in.Name)
	to, write, err := s.release(ctx, &in.Call, routeNameFault(in.Name))
	if err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.ReleaseRoute(ctx, mesh.RouteName(in.Name), to, write)
	if err != nil {
		return nil, err
	}
	return &RouteAnswer{ETag: etag(stored.Meta.Revision), Body: stored}, nil
}

// release makes sure of the caller, and reads who is to keep the object.
func (s *Server) release(ctx context.Context, call *Call, nameFault error) (mesh.Keeper, registry.Write, error) {
	token, err := s.declarer(ctx, call, admin, nameFault)
	if err != nil {
		return "", registry.Write{}, err
	}
	data, err := call.body()
	if err != nil {
		return "", registry.Write{}, err
	}
	var wanted Release
	if err := decode(data, &wanted); err != nil {
		return "", registry.Write{}, err
	}
	if wanted.To == "" && given(data, "to") {
		return "", registry.Write{}, fault("to", "is empty: name a keeper, or leave the field out for nobody in particular")
	}
	if wanted.To != "" && !wanted.To.OfObjects() {
		return "", registry.Write{}, fault("to", "has to be a keeper of a service or route: kubernetes/CLUSTER/NAMESPACE/NAME")
	}
	write, err := call.write(token)
	return wanted.To, write, err
}
