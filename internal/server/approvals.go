package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// ApprovalState is how far a caller has come.
type ApprovalState string

// The states of an approval.
const (
	approvalGiven   ApprovalState = "approved"
	approvalPending ApprovalState = "pending"
)

// Approval is a caller of a service that takes calls from approved callers only.
type Approval struct {
	Callee      mesh.ServiceName `json:"callee" doc:"The service that is called." example:"orders"`
	Caller      string           `json:"caller" doc:"The service that calls it, or gateway/NAME." example:"web"`
	State       ApprovalState    `json:"state" enum:"approved,pending" doc:"pending: it is declared, and the callee's owner has not approved it."`
	Declared    bool             `json:"declared" doc:"Whether the caller has declared the callee; without that it may not call, approved or not. Of a gateway: whether a route that names the gateway leads to the callee."`
	Owner       string           `json:"owner" doc:"The callee's, who approves." example:"team-shop"`
	CallerOwner string           `json:"callerOwner,omitempty" doc:"The caller's, who has declared the callee." example:"team-web"`
}

// CallerPath is the path parameters.
type CallerPath struct {
	ServicePath
	Caller string `path:"caller" maxLength:"80" doc:"The caller's name; of a gateway gateway%2FNAME." example:"web"`
}

func (s *Server) approvalOperations() {
	const one, tag = "/api/v1/services/{name}/callers/{caller}", "approvals"
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/approvals", tag: tag, id: "listApprovals", summary: "List the callers of services that take calls from approved callers only",
		description: "Those who are approved, and those who have declared the service and wait for it.",
	}, s.listApprovals)
	register(s, operation{
		method: http.MethodPut, path: one, tag: tag, id: "approveCaller", summary: "Approve a caller of a service",
		description: "For whoever may write the callee's declaration, in whose access.approved it is noted. The callee has to have access.callers: approved.",
		token:       true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.approveCaller)
	register(s, operation{
		method: http.MethodDelete, path: one, tag: tag, id: "revokeCaller", summary: "Take a caller's approval back",
		status: http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.revokeCaller)
}

func (s *Server) listApprovals(ctx context.Context, in *struct {
	Callee string        `query:"callee" maxLength:"63" doc:"Only those of this service." example:"orders"`
	Caller string        `query:"caller" maxLength:"80" doc:"Only those of this caller." example:"web"`
	State  ApprovalState `query:"state" enum:"approved,pending" doc:"Only those in this state."`
}) (*Listed[Approval], error) {
	if in.State != "" && in.State != approvalGiven && in.State != approvalPending {
		return nil, fault("query.state", "has to be one of approved, pending")
	}
	services, revision, err := s.cfg.Registry.Services(ctx)
	if err != nil {
		return nil, err
	}
	routes, _, err := s.cfg.Registry.Routes(ctx)
	if err != nil {
		return nil, err
	}
	all := approvals(services, routes)
	all = slices.DeleteFunc(all, func(a Approval) bool {
		return in.Callee != "" && string(a.Callee) != in.Callee || in.Caller != "" && a.Caller != in.Caller || in.State != "" && a.State != in.State
	})
	return listed(all, revision), nil
}

// approvals gives the edges of the services that take approved callers only, by
// callee and caller.
func approvals(services []mesh.Service, routes []mesh.Route) []Approval {
	declared := map[mesh.ServiceName]map[string]string{} // by callee and caller: the caller's owner
	note := func(callee mesh.ServiceName, caller, owner string) {
		if declared[callee] == nil {
			declared[callee] = map[string]string{}
		}
		declared[callee][caller] = owner
	}
	for i := range services {
		for _, callee := range services[i].Dependencies {
			note(callee, string(services[i].Name), services[i].Owner)
		}
	}
	for i := range routes {
		for _, callee := range routes[i].Services() {
			for _, gateway := range routes[i].Gateways {
				note(callee, mesh.GatewayCaller(gateway), routes[i].Owner)
			}
		}
	}
	var all []Approval
	for i := range services {
		callee := &services[i]
		if callee.Access.Callers != mesh.ApprovedCallers {
			continue
		}
		of := len(all)
		for caller, owner := range declared[callee.Name] {
			state := approvalPending
			if callee.Access.Admits(caller) {
				state = approvalGiven
			}
			all = append(all, Approval{Callee: callee.Name, Caller: caller, State: state, Declared: true, Owner: callee.Owner, CallerOwner: owner})
		}
		for _, caller := range callee.Access.Approved {
			if _, is := declared[callee.Name][caller]; !is {
				all = append(all, Approval{Callee: callee.Name, Caller: caller, State: approvalGiven, Owner: callee.Owner})
			}
		}
		slices.SortFunc(all[of:], func(a, b Approval) int { return strings.Compare(a.Caller, b.Caller) })
	}
	return all
}

type approvalAnswer struct {
	Body Approval
}

func (s *Server) approveCaller(ctx context.Context, in *struct {
	Call
	CallerPath
}) (*approvalAnswer, error) {
	stored, err := s.editCallers(ctx, &in.Call, in.CallerPath, "approve", func(approved []string) ([]string, error) {
		if slices.Contains(approved, in.Caller) {
			return approved, nil
		}
		return append(approved, in.Caller), nil
	})
	if err != nil {
		return nil, err
	}
	services, _, err := s.cfg.Registry.Services(ctx)
	if err != nil {
		return nil, err
	}
	routes, _, err := s.cfg.Registry.Routes(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range approvals(services, routes) {
		if one.Callee == stored.Name && one.Caller == in.Caller {
			return &approvalAnswer{Body: one}, nil
		}
	}
	return &approvalAnswer{Body: Approval{Callee: stored.Name, Caller: in.Caller, State: approvalGiven, Owner: stored.Owner}}, nil
}

func (s *Server) revokeCaller(ctx context.Context, in *struct {
	Call
	CallerPath
}) (*Nothing, error) {
	_, err := s.editCallers(ctx, &in.Call, in.CallerPath, "revoke", func(approved []string) ([]string, error) {
		at := slices.Index(approved, in.Caller)
		if at < 0 {
			return nil, mesh.NotFound("%s is no approved caller of service %s", shown(in.Caller), in.Name)
		}
		return slices.Delete(approved, at, at+1), nil
	})
	return &Nothing{}, err
}

// triedAtMost bounds how often an edit starts anew because another write came first.
const triedAtMost = 20

// editCallers changes whom a service's owner has approved, at the revision that it
// was read at; another write in between has it read anew.
func (s *Server) editCallers(ctx context.Context, call *Call, path CallerPath, action string, edit func([]string) ([]string, error)) (mesh.Service, error) {
	name := mesh.ServiceName(path.Name)
	call.object, call.service = "service/"+shown(path.Name), name
	token, err := s.authenticate(ctx, call)
	if err != nil {
		return mesh.Service{}, err
	}
	if err := serviceNameFault(path.Name); err != nil {
		return mesh.Service{}, err
	}
	if err := allowDeclaration(token, name); err != nil {
		return mesh.Service{}, err
	}
	write, err := call.write(token)
	if err != nil {
		return mesh.Service{}, err
	}
	write.Action, write.RequestID = action, "" // done twice, it is the same
	for tries := 1; ; tries++ {
		stored, err := s.editCallersOnce(ctx, name, write, edit)
		if tries == triedAtMost || mesh.KindOf(err) != mesh.KindConflict {
			return stored, err
		}
	}
}

func (s *Server) editCallersOnce(ctx context.Context, name mesh.ServiceName, write registry.Write, edit func([]string) ([]string, error)) (mesh.Service, error) {
	service, err := s.cfg.Registry.Service(ctx, name)
	if err != nil {
		return service, err
	}
	if err := registry.MayDeclare(write.By, &service); err != nil {
		return service, err
	}
	if service.Access.Callers != mesh.ApprovedCallers {
		return service, mesh.Invalid("service "+shown(string(name))+" approves no callers", mesh.Faults{{Path: "access.callers", Message: "is not \"approved\": whoever declares the service may call it; its owner has to set that first"}})
	}
	if service.Access.Approved, err = edit(slices.Clone(service.Access.Approved)); err != nil {
		return service, err
	}
	write.Revision = service.Meta.Revision
	return s.cfg.Registry.PutService(ctx, service, write)
}
