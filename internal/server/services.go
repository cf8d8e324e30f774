package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/admission"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Service is a declaration and what the server adds to it. It is taken back as
// it was given: what the server added is ignored.
type Service struct {
	mesh.Service
	Status ServiceStatus `json:"status,omitzero" doc:"What follows from the rest of the mesh; ignored on input." readOnly:"true"`
}

// ServiceStatus is what follows from the rest of the mesh.
type ServiceStatus struct {
	Pending    []mesh.ServiceName `json:"pending,omitempty" doc:"Declared dependencies that nobody has declared as a service yet; calls to them get a 503 that says so."`
	Refused    []mesh.ServiceName `json:"refused,omitempty" doc:"Declared dependencies whose owners have refused this caller; calls to them are refused as their access.enforcement says."`
	Unapproved []mesh.ServiceName `json:"unapproved,omitempty" doc:"Declared dependencies whose owners have not approved this caller yet (heddle approve); calls to them are refused as their access.enforcement says."`
	Warnings   []mesh.Warning     `json:"warnings,omitempty" doc:"What is allowed and may go wrong: cycles of calls, calls to a deprecated service or to one of a less critical tier."`
}

// ServicePath is the path parameter.
type ServicePath struct {
	Name string `path:"name" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"The service's name, a DNS label." example:"orders"`
}

// ServiceAnswer is one service.
type ServiceAnswer struct {
	ETag     string `header:"ETag" doc:"The revision in quotes, for If-Match." example:"\"42\""`
	Location string `header:"Location" doc:"Where it is, after a creation."`
	Body     Service
}

const serviceExample = `{"name":"orders","owner":"team-shop","protocol":"http","port":8080,"dependencies":["payments"]}`

func (s *Server) serviceOperations() {
	const path, tag = "/api/v1/services", "services"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "listServices", summary: "List the services, by name"}, s.listServices)
	register(s, operation{
		method: http.MethodPost, path: path, tag: tag, id: "createService", summary: "Declare a new service",
		status: http.StatusCreated, body: Service{}, example: serviceExample, token: true, refusals: []int{http.StatusConflict},
	}, s.createService)
	register(s, operation{
		method: http.MethodGet, path: path + "/{name}", tag: tag, id: "getService", summary: "Get a service",
		refusals: []int{http.StatusNotFound},
	}, s.getService)
	register(s, operation{
		method: http.MethodPut, path: path + "/{name}", tag: tag, id: "putService", summary: "Declare a service, or replace its declaration",
		description: "The condition may also be the body's meta.revision: what a GET answered can be changed and sent back. Dependencies that nobody has declared are accepted and shown as status.pending.",
		body:        Service{}, example: serviceExample, token: true, refusals: []int{http.StatusConflict, http.StatusNotFound},
	}, s.putService)
	register(s, operation{
		method: http.MethodDelete, path: path + "/{name}", tag: tag, id: "deleteService", summary: "Delete a service's declaration",
		description: "Its instances stay registered until their leases end. A service that others declare, or that routes lead to, is refused to be deleted (409, has_dependents, with each of them in errors) unless it is forced; they then see it as pending, and the audit names them.",
		status:      http.StatusNoContent, token: true, refusals: []int{http.StatusConflict, http.StatusNotFound},
	}, s.deleteService)
}

func (s *Server) listServices(ctx context.Context, _ *struct{}) (*Listed[Service], error) {
	all, revision, err := s.cfg.Registry.Services(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[mesh.ServiceName]bool, len(all))
	declared := make([]*mesh.Service, len(all))
	for i := range all {
		known[all[i].Name], declared[i] = true, &all[i]
	}
	warnings := map[string][]mesh.Warning{}
	for _, one := range mesh.Warnings(declared, nil) {
		warnings[one.Object] = append(warnings[one.Object], one)
	}
	callees := func(name mesh.ServiceName) *mesh.Service {
		if at, is := slices.BinarySearchFunc(all, name, func(s mesh.Service, name mesh.ServiceName) int { return strings.Compare(string(s.Name), string(name)) }); is {
			return &all[at]
		}
		return nil
	}
	out := make([]Service, len(all))
	for i := range all {
		pending := slices.Clone(all[i].Dependencies)
		pending = slices.DeleteFunc(pending, func(name mesh.ServiceName) bool { return known[name] })
		out[i] = Service{Service: all[i], Status: ServiceStatus{Pending: pending, Warnings: warnings["service/"+string(all[i].Name)]}}
		out[i].Status.Unapproved, out[i].Status.Refused = undecided(&all[i], callees)
	}
	return listed(out, revision), nil
}

func (s *Server) getService(ctx context.Context, in *ServicePath) (*ServiceAnswer, error) {
	if err := serviceNameFault(in.Name); err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.Service(ctx, mesh.ServiceName(in.Name))
	if err != nil {
		return nil, err
	}
	return s.serviceAnswer(ctx, stored)
}

func (s *Server) createService(ctx context.Context, in *struct {
	Call
	Repeatable
	Keeping
}) (*ServiceAnswer, error) {
	return s.writeService(ctx, &in.Call, "")
}

func (s *Server) putService(ctx context.Context, in *struct {
	Call
	Repeatable
	Keeping
	Conditions
	ServicePath
}) (*ServiceAnswer, error) {
	return s.writeService(ctx, &in.Call, in.Name)
}

// writeService creates (inPath "") or puts.
func (s *Server) writeService(ctx context.Context, call *Call, inPath string) (*ServiceAnswer, error) {
	token, err := s.authenticate(ctx, call)
	if err != nil {
		return nil, err
	}
	var given Service
	if err := call.decode(&given); err != nil {
		return nil, err
	}
	service := given.Service
	name, err := nameInPath(inPath, string(service.Name))
	if err != nil {
		return nil, err
	}
	service.Name = mesh.ServiceName(name)
	call.object, call.service = "service/"+shown(name), service.Name
	if err := allowDeclaration(token, service.Name); err != nil {
		return nil, err
	}
	write, err := call.write(token)
	if err != nil {
		return nil, err
	}
	present := func(ctx context.Context) (int64, error) {
		stored, err := s.cfg.Registry.Service(ctx, service.Name)
		return stored.Meta.Revision, err
	}
	if write.Create = inPath == ""; !write.Create {
		if err := call.conditional(ctx, &write, service.Meta.Revision, present); err != nil {
			return nil, err
		}
	}
	if err := mesh.Invalid("service "+shown(name)+" cannot be declared like this", admission.Service(s.cfg.Catalog.View(), &service)); err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.PutService(ctx, service, write)
	if err != nil {
		return nil, s.conflict(ctx, err, present)
	}
	answer, err := s.serviceAnswer(ctx, stored)
	if err == nil && write.Create {
		answer.Location = "/api/v1/services/" + name
	}
	return answer, err
}

func (s *Server) deleteService(ctx context.Context, in *struct {
	Call
	Repeatable
	Keeping
	Conditions
	ServicePath
	Force bool `query:"force" doc:"Delete it although others depend on it: calls to it get a 503 from then on." example:"true"`
}) (*Nothing, error) {
	name := mesh.ServiceName(in.Name)
	present := func(ctx context.Context) (int64, error) {
		stored, err := s.cfg.Registry.Service(ctx, name)
		return stored.Meta.Revision, err
	}
	in.service = name
	write, err := s.deletion(ctx, &in.Call, name, serviceNameFault(in.Name), present)
	if err != nil {
		return nil, err
	}
	write.Force, write.Known = in.Force, admission.Dependents(s.cfg.Catalog.View(), name)
	return &Nothing{}, s.conflict(ctx, s.cfg.Registry.DeleteService(ctx, name, write), present)
}

func (s *Server) serviceAnswer(ctx context.Context, stored mesh.Service) (*ServiceAnswer, error) {
	pending, err := s.pending(ctx, stored.Dependencies)
	if err != nil {
		return nil, err
	}
	status := ServiceStatus{Pending: pending, Warnings: mesh.ServiceWarnings(&stored, s.seenService)}
	status.Unapproved, status.Refused = undecided(&stored, s.seenService)
	return &ServiceAnswer{ETag: etag(stored.Meta.Revision), Body: Service{Service: stored, Status: status}}, nil
}

// seenService gives a service as the catalog knows it, or nil.
func (s *Server) seenService(name mesh.ServiceName) *mesh.Service {
	service, _ := s.cfg.Catalog.View().Service(name)
	return service
}

// undecided gives the dependencies that wait for their owners' approval, and those
// whose owners have refused the caller.
func undecided(caller *mesh.Service, service func(mesh.ServiceName) *mesh.Service) (waits, refused []mesh.ServiceName) {
	for _, name := range caller.Dependencies {
		switch callee := service(name); {
		case callee == nil || callee.Access.Admits(string(caller.Name)):
		case callee.Access.Refuses(string(caller.Name)):
			refused = append(refused, name)
		default:
			waits = append(waits, name)
		}
	}
	return waits, refused
}

// pending gives the names that nobody has declared. The catalog knows most;
// what it does not know is asked of the registry, so that whoever has just
// declared a service is not told that it is missing.
func (s *Server) pending(ctx context.Context, names []mesh.ServiceName) ([]mesh.ServiceName, error) {
	view := s.cfg.Catalog.View()
	var missing []mesh.ServiceName
	for _, name := range names {
		if _, known := view.Service(name); known {
			continue
		}
		_, err := s.cfg.Registry.Service(ctx, name)
		switch mesh.KindOf(err) {
		case mesh.KindNotFound:
			missing = append(missing, name)
		case mesh.KindUnavailable:
			if mesh.ReasonOf(err) != mesh.ReasonCorrupt { // it is declared, though nobody can read it
				return nil, err
			}
		}
	}
	return missing, nil
}
