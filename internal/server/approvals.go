package server

import (
	"context"
	"net/http"
	"slices"

	"github.com/heddle-mesh/heddle/internal/approvals"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// CallerPath is the path parameters.
type CallerPath struct {
	ServicePath
	Caller string `path:"caller" maxLength:"80" doc:"The caller's name; of a gateway gateway%2FNAME." example:"web"`
}

func (s *Server) approvalOperations() {
	const one, tag = "/api/v1/services/{name}/callers/{caller}", "approvals"
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/approvals", tag: tag, id: "listApprovals", summary: "List the callers of services that take calls from approved callers only",
		description: "Those who are approved, those who are refused, and those who have declared the service and wait for a decision.",
	}, s.listApprovals)
	register(s, operation{
		method: http.MethodPut, path: one, tag: tag, id: "approveCaller", summary: "Approve a caller of a service",
		description: "For whoever may write the callee's declaration, in whose access.approved it is noted; a refusal ends with it. The callee has to have access.callers: approved.",
		token:       true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.approveCaller)
	register(s, operation{
		method: http.MethodPut, path: one + "/refusal", tag: tag, id: "refuseCaller", summary: "Refuse a caller of a service",
		description: "For whoever may write the callee's declaration, in whose access.refused it is noted; an approval ends with it. The caller is let in as little as one that waits, and waits no more.",
		token:       true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.refuseCaller)
	register(s, operation{
		method: http.MethodDelete, path: one, tag: tag, id: "revokeCaller", summary: "Take a caller's approval or refusal back",
		status: http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.revokeCaller)
}

func (s *Server) listApprovals(ctx context.Context, in *struct {
	Callee string          `query:"callee" maxLength:"63" doc:"Only those of this service." example:"orders"`
	Caller string          `query:"caller" maxLength:"80" doc:"Only those of this caller." example:"web"`
	State  approvals.State `query:"state" enum:"approved,pending,refused" doc:"Only those in this state."`
}) (*Listed[approvals.Approval], error) {
	if in.State != "" && in.State != approvals.Given && in.State != approvals.Pending && in.State != approvals.Refused {
		return nil, fault("query.state", "has to be one of approved, pending, refused")
	}
	all, revision, err := s.approvals(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a approvals.Approval) bool {
		return in.Callee != "" && string(a.Callee) != in.Callee || in.Caller != "" && a.Caller != in.Caller || in.State != "" && a.State != in.State
	})
	return listed(all, revision), nil
}

func (s *Server) approvals(ctx context.Context) ([]approvals.Approval, int64, error) {
	services, revision, err := s.cfg.Registry.Services(ctx)
	if err != nil {
		return nil, 0, err
	}
	routes, _, err := s.cfg.Registry.Routes(ctx)
	return approvals.List(pointers(services), pointers(routes)), revision, err
}

func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

type approvalAnswer struct {
	Body approvals.Approval
}

func (s *Server) approveCaller(ctx context.Context, in *struct {
	Call
	CallerPath
}) (*approvalAnswer, error) {
	return s.decideCaller(ctx, &in.Call, in.CallerPath, approvals.Given, approvals.Approve)
}

func (s *Server) refuseCaller(ctx context.Context, in *struct {
	Call
	CallerPath
}) (*approvalAnswer, error) {
	return s.decideCaller(ctx, &in.Call, in.CallerPath, approvals.Refused, approvals.Refuse)
}

// decideCaller writes down a decision, and answers with what it makes of the caller.
func (s *Server) decideCaller(ctx context.Context, call *Call, path CallerPath, state approvals.State,
	decide func(context.Context, *registry.Store, mesh.ServiceName, string, registry.Write) (mesh.Service, error),
) (*approvalAnswer, error) {
	name, write, err := s.decides(ctx, call, path)
	if err != nil {
		return nil, err
	}
	stored, err := decide(ctx, s.cfg.Registry, name, path.Caller, write)
	if err != nil {
		return nil, err
	}
	all, _, err := s.approvals(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.Callee == stored.Name && one.Caller == path.Caller {
			return &approvalAnswer{Body: one}, nil
		}
	}
	return &approvalAnswer{Body: approvals.Approval{Callee: stored.Name, Caller: path.Caller, State: state, Owner: stored.Owner}}, nil
}

func (s *Server) revokeCaller(ctx context.Context, in *struct {
	Call
	CallerPath
}) (*Nothing, error) {
	name, write, err := s.decides(ctx, &in.Call, in.CallerPath)
	if err != nil {
		return nil, err
	}
	_, err = approvals.Revoke(ctx, s.cfg.Registry, name, in.Caller, write)
	return &Nothing{}, err
}

// decides makes sure that the caller of the API may write a service's declaration.
func (s *Server) decides(ctx context.Context, call *Call, path CallerPath) (mesh.ServiceName, registry.Write, error) {
	name := mesh.ServiceName(path.Name)
	call.object, call.service = "service/"+shown(path.Name), name
	token, err := s.declarer(ctx, call, name, serviceNameFault(path.Name))
	if err != nil {
		return name, registry.Write{}, err
	}
	write, err := call.write(token)
	return name, write, err
}
