package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// maxKept is the longest body with a keeper's set, in bytes: enough for
// [mesh.MostKeptInstances] instances with a dozen labels each.
const maxKept = 16 << 20

// KeptSet is the instances that a keeper has of a service.
type KeptSet struct {
	Instances []mesh.Instance `json:"instances" nullable:"false" doc:"All that the keeper has of the service now, up to 10,000; their service may be left out. Empty: it has none any more."`
}

func (s *Server) keepOperation() {
	register(s, operation{
		method: http.MethodPut, path: "/api/v1/services/{name}/instances", tag: "instances", id: "keepInstances", summary: "Give the whole set of instances that a keeper has of a service",
		description: "Only what differs from what is stored is written. What is kept has no lease: it lives until its keeper's set no longer has it, or the service is deleted. Instances of other keepers and registered ones stand beside it. For admins and tokens of the keeper. 409 with reason taken: some IDs are others' already, which errors name; all others are kept.",
		body:        KeptSet{}, example: `{"instances":[{"id":"orders-7d4f.shop.prod","address":"10.1.0.7","port":15006,"mtls":true}]}`, token: true,
		refusals: []int{http.StatusConflict, http.StatusNotFound},
	}, s.keepInstances)
	register(s, operation{
		method: http.MethodPatch, path: "/api/v1/services/{name}/instances", tag: "instances", id: "changeKeptInstances", summary: "Change a part of the set of instances that a keeper has of a service",
		description: "All that the change does not name stays. For admins and tokens of the keeper. 409 with reason stale_revision: the set was written since base, so the whole set has to be given; with reason taken: some IDs are others' already, which errors name, and all others are kept.",
		body:        mesh.KeptChange{}, example: `{"base":4711,"instances":[{"id":"orders-7d4f.shop.prod","address":"10.1.0.7","port":15006,"mtls":true}],"removed":["orders-5c1b.shop.prod"]}`, token: true,
		refusals: []int{http.StatusConflict, http.StatusNotFound},
	}, s.changeKept)
}

type keptAnswer struct {
	Body mesh.Kept
}

// ofKeptSet is a request about a keeper's set.
type ofKeptSet struct {
	Call
	ServicePath
	SourceOfKeeper
	Keeper string `header:"X-Heddle-Keeper" required:"true" doc:"Whose set it is: kubernetes/CLUSTER." example:"kubernetes/prod"`
}

// readKept reads such a request's body into body, and gives as whom it writes.
func (s *Server) readKept(ctx context.Context, in *ofKeptSet, body any) (registry.Write, error) {
	token, err := s.authenticate(ctx, &in.Call)
	if err != nil {
		return registry.Write{}, err
	}
	if err := serviceNameFault(in.Name); err != nil {
		return registry.Write{}, err
	}
	in.object, in.service = "instances/"+in.Name, mesh.ServiceName(in.Name)
	write, err := in.write(token)
	if err != nil {
		return registry.Write{}, err
	}
	data, err := in.bodyUpTo(maxKept)
	if err != nil {
		return registry.Write{}, err
	}
	return write, decode(data, body)
}

func (s *Server) keepInstances(ctx context.Context, in *ofKeptSet) (*keptAnswer, error) {
	var set KeptSet
	write, err := s.readKept(ctx, in, &set)
	if err != nil {
		return nil, err
	}
	if set.Instances == nil {
		return nil, fault("instances", "is required: the whole set, or an empty list ([]) if the keeper has none any more")
	}
	kept, err := s.cfg.Registry.KeepInstances(ctx, in.service, set.Instances, write)
	if err != nil {
		return nil, err
	}
	return &keptAnswer{Body: kept}, nil
}

func (s *Server) changeKept(ctx context.Context, in *ofKeptSet) (*keptAnswer, error) {
	var change mesh.KeptChange
	write, err := s.readKept(ctx, in, &change)
	if err != nil {
		return nil, err
	}
	kept, err := s.cfg.Registry.ChangeKept(ctx, in.service, change, write)
	if err != nil {
		return nil, err
	}
	return &keptAnswer{Body: kept}, nil
}
