package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/edits"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// HistoryQuery is the parameter of a history.
type HistoryQuery struct {
	Revision int64 `query:"revision" minimum:"1" doc:"Only this state, with the object as it was." example:"42"`
}

// Rollback is the body of a rollback.
type Rollback struct {
	To int64 `json:"to" minimum:"1" doc:"The revision whose content is written anew; from the object's history." example:"42"`
}

const rollbackExample = `{"to":42}`

func (s *Server) historyOperations() {
	const (
		past     = "Newest first. Kept are the newest 50 states of each object, 1 MiB at most, for 90 days; of what is older the newest stays. A deleted object's history stays for as long. What a server wrote that keeps no history is not in it. An admin sees all of it, an owner what was written while it was theirs, a service's token that of the service."
		rollback = "Writes the content of an earlier revision anew, with the rights that a write takes, and if it is valid now. A deleted object comes back so. The audit calls it rollback, and says from where (previous) to where (to)."
	)
	history := func(path, tag, id, of string) operation {
		return operation{method: http.MethodGet, path: path + "/history", tag: tag, id: id, summary: "What " + of + " was, and who changed it", description: past, token: true, refusals: []int{http.StatusNotFound}}
	}
	back := func(path, tag, id, of string) operation {
		return operation{
			method: http.MethodPost, path: path + "/rollback", tag: tag, id: id, summary: "Roll " + of + " back to an earlier revision", description: rollback,
			body: Rollback{}, example: rollbackExample, token: true, refusals: []int{http.StatusConflict, http.StatusNotFound},
		}
	}
	const services, routes, runtime = "/api/v1/services/{name}", "/api/v1/routes/{name}", "/api/v1/runtime"
	register(s, history(services, "services", "serviceHistory", "a service"), s.serviceHistory)
	register(s, back(services, "services", "rollbackService", "a service"), s.rollbackService)
	register(s, history(routes, "routes", "routeHistory", "a route"), s.routeHistory)
	register(s, back(routes, "routes", "rollbackRoute", "a route"), s.rollbackRoute)
	register(s, history(runtime, "runtime", "runtimeHistory", "the runtime layer"), s.runtimeHistory)
	register(s, back(runtime, "runtime", "rollbackRuntime", "the runtime layer"), s.rollbackRuntime)
}

// historyAnswer lists states without their objects, or one with it, as shown says.
func historyAnswer[T, O any](states []registry.Past[T], title string, query HistoryQuery, shown func(T) O) (*Listed[registry.Past[O]], error) {
	if query.Revision != 0 {
		one, err := registry.StateAt(states, title, query.Revision)
		if err != nil {
			return nil, err
		}
		states = []registry.Past[T]{*one}
	}
	out := make([]registry.Past[O], len(states))
	for i, one := range states {
		out[i] = registry.Past[O]{
			Revision: one.Revision, Time: one.Time, Action: one.Action, Author: one.Author, Source: one.Source,
			Changed: one.Changed, To: one.To, Present: one.Present, Deleted: one.Deleted, Missing: one.Missing,
		}
		if query.Revision != 0 && one.Object != nil {
			object := shown(*one.Object)
			out[i].Object = &object
		}
	}
	return listed(out, 0), nil
}

func asItIs[T any](object T) T { return object }

func (s *Server) serviceHistory(ctx context.Context, in *struct {
	Call
	ServicePath
	HistoryQuery
}) (*Listed[registry.Past[Service]], error) {
	in.object, in.service = "service/"+shown(in.Name), mesh.ServiceName(in.Name)
	token, err := s.authenticate(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	if err := serviceNameFault(in.Name); err != nil {
		return nil, err
	}
	states, err := s.cfg.Registry.ServiceHistory(ctx, mesh.ServiceName(in.Name), registry.Only(in.Revision))
	if err == nil {
		states, err = registry.Visible(states, token, "service "+in.Name, mesh.ServiceName(in.Name))
	}
	if err != nil {
		return nil, err
	}
	return historyAnswer(states, "service "+in.Name, in.HistoryQuery, func(service mesh.Service) Service { return Service{Service: service} })
}

func (s *Server) routeHistory(ctx context.Context, in *struct {
	Call
	RoutePath
	HistoryQuery
}) (*Listed[registry.Past[mesh.Route]], error) {
	in.object = "route/" + shown(in.Name)
	token, err := s.authenticate(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	if err := routeNameFault(in.Name); err != nil {
		return nil, err
	}
	states, err := s.cfg.Registry.RouteHistory(ctx, mesh.RouteName(in.Name), registry.Only(in.Revision))
	if err == nil {
		states, err = registry.Visible(states, token, "route "+in.Name, admin)
	}
	if err != nil {
		return nil, err
	}
	return historyAnswer(states, "route "+in.Name, in.HistoryQuery, asItIs[mesh.Route])
}

func (s *Server) runtimeHistory(ctx context.Context, in *struct {
	Call
	HistoryQuery
}) (*Listed[registry.Past[mesh.Runtime]], error) {
	in.object = "runtime"
	token, err := s.authenticate(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	states, err := s.cfg.Registry.RuntimeHistory(ctx, registry.Only(in.Revision))
	if err == nil { // it is nobody's
		states, err = registry.Visible(states, token, "the runtime layer", admin)
	}
	if err != nil {
		return nil, err
	}
	return historyAnswer(states, "the runtime layer", in.HistoryQuery, asItIs[mesh.Runtime])
}

// rollback makes sure of the caller, the name and the conditions, in this order, and
// gives the revision that is wanted.
func (s *Server) rollback(ctx context.Context, call *Call, scope mesh.ServiceName, nameFault error, present func(context.Context) (int64, error)) (registry.Write, error) {
	token, err := s.declarer(ctx, call, scope, nameFault)
	if err != nil {
		return registry.Write{}, err
	}
	var wanted Rollback
	if err := call.decode(&wanted); err != nil {
		return registry.Write{}, err
	}
	if wanted.To <= 0 {
		return registry.Write{}, fault("to", "is required: a revision from the history")
	}
	write, err := call.write(token)
	if err != nil {
		return registry.Write{}, err
	}
	write.Action, write.To = "rollback", wanted.To
	return write, call.conditional(ctx, &write, 0, present)
}

// refusedNow says that what was valid once is not any more.
func refusedNow(title string, to int64, faults mesh.Faults) error {
	return mesh.Invalid(fmt.Sprintf("%s cannot be rolled back to revision %d: it would be refused now", title, to), faults)
}

func (s *Server) rollbackService(ctx context.Context, in *struct {
	Call
	Repeatable
	Conditions
	ServicePath
}) (*ServiceAnswer, error) {
	name := mesh.ServiceName(in.Name)
	in.object, in.service = "service/"+shown(in.Name), name
	present := func(ctx context.Context) (int64, error) {
		stored, err := s.cfg.Registry.Service(ctx, name)
		return stored.Meta.Revision, err
	}
	write, err := s.rollback(ctx, &in.Call, name, serviceNameFault(in.Name), present)
	if err != nil {
		return nil, err
	}
	stored, err := edits.RollBack(ctx, s.cfg.Registry, s.cfg.Catalog.View(), name, write)
	if err != nil {
		return nil, s.conflict(ctx, err, present)
	}
	return s.serviceAnswer(ctx, stored)
}

func (s *Server) rollbackRoute(ctx context.Context, in *struct {
	Call
	Repeatable
	Conditions
	RoutePath
}) (*RouteAnswer, error) {
	name, title := mesh.RouteName(in.Name), "route "+shown(in.Name)
	in.object = "route/" + shown(in.Name)
	present := s.routeRevision(name)
	write, err := s.rollback(ctx, &in.Call, admin, routeNameFault(in.Name), present)
	if err != nil {
		return nil, err
	}
	states, err := s.cfg.Registry.RouteHistory(ctx, name, registry.Only(write.To))
	if err != nil {
		return nil, err
	}
	route, err := registry.RollbackTo(states, title, write.To)
	if err == nil {
		err = refusedNow(title, write.To, route.Validate())
	}
	if err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.PutRoute(ctx, *route, write)
	if err != nil {
		return nil, s.conflict(ctx, err, present)
	}
	return &RouteAnswer{ETag: etag(stored.Meta.Revision), Body: stored}, nil
}

func (s *Server) rollbackRuntime(ctx context.Context, in *struct {
	Call
	Repeatable
	Conditions
}) (*RuntimeAnswer, error) {
	const title = "the runtime layer"
	in.object = "runtime"
	present := func(ctx context.Context) (int64, error) {
		stored, err := s.cfg.Registry.Runtime(ctx)
		return stored.Meta.Revision, err
	}
	write, err := s.rollback(ctx, &in.Call, admin, nil, present)
	if err != nil {
		return nil, err
	}
	states, err := s.cfg.Registry.RuntimeHistory(ctx, registry.Only(write.To))
	if err != nil {
		return nil, err
	}
	layer, err := registry.RollbackTo(states, title, write.To)
	if err == nil {
		err = refusedNow(title, write.To, layer.Validate())
	}
	if err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.PutRuntime(ctx, *layer, write)
	if err != nil {
		return nil, s.conflict(ctx, err, present)
	}
	return runtimeAnswer(stored), nil
}
