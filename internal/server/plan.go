package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/admission"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

type planAnswer struct {
	Body mesh.Plan
}

// PlanRequest is a set of changes that are not made.
type PlanRequest struct {
	Services  []Service       `json:"services,omitempty" doc:"Declarations that would be created or replaced."`
	Routes    []mesh.Route    `json:"routes,omitempty" doc:"Routes that would be created or replaced."`
	Instances []mesh.Instance `json:"instances,omitempty" doc:"Instances that would be registered."`
	Runtime   *mesh.Runtime   `json:"runtime,omitempty" doc:"The runtime layer that would be written."`
	Delete    []string        `json:"delete,omitempty" doc:"What would be deleted: service/NAME or route/NAME." example:"service/orders"`
}

type impactAnswer struct {
	Body mesh.Impact
}

func (s *Server) planOperations() {
	const busy = " A server works out two such answers at a time, and one for those without a token; one that waits for its turn too long is refused with 503, and Retry-After says when to ask again. A long answer is cut, and says so."
	const tag, example = "answers", `{"name":"orders","owner":"team-shop","protocol":"http","port":8080,"dependencies":[]}`
	register(s, operation{
		method: http.MethodPost, path: "/api/v1/plan", tag: tag, id: "plan", summary: "What changes would change in the configuration of sidecars and gateways",
		description: "Nothing is written. Looked at are the proxies that are connected to this server, and of services without one a sidecar with the default settings." + busy,
		body:        PlanRequest{}, example: `{"services":[` + example + `],"delete":["route/shop"]}`, token: true,
	}, s.plan)
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/services/{name}/impact", tag: tag, id: "deletionImpact", summary: "Who would feel the deletion of a service", description: busy[1:],
		refusals: []int{http.StatusNotFound},
	}, s.deletionImpact)
	register(s, operation{
		method: http.MethodPost, path: "/api/v1/impact", tag: tag, id: "changeImpact", summary: "Who would feel a change of a service",
		description: "The body is the service as it would be declared. Nothing is written." + busy,
		body:        Service{}, example: example, token: true,
	}, s.changeImpact)
}

func (s *Server) plan(ctx context.Context, in *struct{ Call }) (*planAnswer, error) {
	if _, err := s.authenticate(ctx, &in.Call); err != nil {
		return nil, err
	}
	var given PlanRequest
	if err := in.decode(&given); err != nil {
		return nil, err
	}
	r := mesh.PlanRequest{Routes: given.Routes, Instances: given.Instances, Runtime: given.Runtime, Delete: given.Delete}
	for _, one := range given.Services {
		r.Services = append(r.Services, one.Service)
	}
	done, err := s.cfg.Turns.Take(ctx, true)
	if err != nil {
		return nil, err
	}
	defer done()
	m := s.mesh()
	changes, faults := insight.Changes(m.View, &r)
	if err := mesh.Invalid("this cannot be planned", faults); err != nil {
		return nil, err
	}
	wrong := s.plannedFaults(m, &r, changes)
	if len(wrong) > 0 { // what would be refused cannot be translated safely
		return &planAnswer{Body: mesh.Plan{Sidecars: []mesh.PlannedSidecar{}, Faults: wrong, Revision: m.View.Revision()}}, nil
	}
	plan, err := insight.Plan(ctx, m, changes)
	return &planAnswer{Body: plan}, err
}

// plannedFaults are those for which the writes would be refused.
func (s *Server) plannedFaults(m insight.Mesh, r *mesh.PlanRequest, changes []mesh.Change) []mesh.PlannedFault {
	var out []mesh.PlannedFault
	note := func(object string, faults mesh.Faults) {
		for _, one := range faults {
			out = append(out, mesh.PlannedFault{Object: object, Field: one.Path, Message: one.Message})
		}
	}
	for i := range r.Services {
		note("service/"+shown(string(r.Services[i].Name)), r.Services[i].Validate())
	}
	for i := range r.Routes {
		note("route/"+shown(string(r.Routes[i].Name)), r.Routes[i].Validate())
	}
	for i := range r.Instances {
		note("instance/"+shown(r.Instances[i].Key().String()), r.Instances[i].Validate())
	}
	if r.Runtime != nil {
		note("runtime", r.Runtime.Validate())
	}
	if len(out) > 0 {
		return out
	}
	after := m.View.With(changes...)
	for i := range r.Services {
		note("service/"+string(r.Services[i].Name), admission.Ports(after, &r.Services[i]))
	}
	return out
}

func (s *Server) deletionImpact(ctx context.Context, in *struct {
	ServicePath
	Call
}) (*impactAnswer, error) {
	if err := serviceNameFault(in.Name); err != nil {
		return nil, err
	}
	m, name := s.mesh(), mesh.ServiceName(in.Name)
	if _, declared := m.View.Service(name); !declared && len(m.View.Dependents(name)) == 0 && len(m.View.RoutesTo(name)) == 0 {
		return nil, mesh.NotFound("service %q is not declared, and nobody calls it", name)
	}
	return s.impact(ctx, m, name, nil, s.knows(ctx, &in.Call))
}

func (s *Server) changeImpact(ctx context.Context, in *struct{ Call }) (*impactAnswer, error) {
	if _, err := s.authenticate(ctx, &in.Call); err != nil {
		return nil, err
	}
	var body Service
	if err := in.decode(&body); err != nil {
		return nil, err
	}
	given, m := body.Service, s.mesh()
	if err := mesh.Invalid("service "+shown(string(given.Name))+" cannot be declared like this", admission.Service(m.View, &given)); err != nil {
		return nil, err
	}
	return s.impact(ctx, m, given.Name, &given, true)
}

func (s *Server) impact(ctx context.Context, m insight.Mesh, name mesh.ServiceName, changed *mesh.Service, known bool) (*impactAnswer, error) {
	done, err := s.cfg.Turns.Take(ctx, known)
	if err != nil {
		return nil, err
	}
	defer done()
	seen, err := s.seen(ctx)
	if err != nil { // who calls is declared; what was seen is one thing more
		seen = insight.Observed{}
	}
	impact, err := insight.Impact(ctx, m, name, changed, seen)
	return &impactAnswer{Body: impact}, err
}
