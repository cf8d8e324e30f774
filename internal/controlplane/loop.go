package controlplane

import (
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// loop is the state of Run; one goroutine owns it.
type loop struct {
	plane     *ControlPlane
	out       Applier
	view      *catalog.View
	scopes    map[string]*openScope                      // by scope name
	byService map[mesh.ServiceName]map[string]*openScope // sidecars' scopes, by their own service
	gateways  map[string]*openScope                      // gateways' scopes, by name
	holders   map[xds.Key]int                            // how many open scopes hold a resource
	made      map[xds.Key]made                           // of the resources that are held
	waiting   []command                                  // opens that wait for the catalog to be synced
}

// openScope is a scope with at least one connected proxy.
type openScope struct {
	scope   translate.Scope
	streams int
	members []xds.Key
	needs   translate.Needs // of a gateway
}

func newLoop(plane *ControlPlane, out Applier) *loop {
	return &loop{
		plane: plane, out: out, view: plane.cfg.Catalog.View(),
		scopes:    map[string]*openScope{},
		byService: map[mesh.ServiceName]map[string]*openScope{},
		gateways:  map[string]*openScope{},
		holders:   map[xds.Key]int{},
		made:      map[xds.Key]made{},
	}
}

func (l *loop) command(cmd command) {
	switch {
	case cmd.close:
		l.close(cmd.scope.Name())
	case !l.view.Synced():
		// Those that gave up come again: without this, they would pile up for as
		// long as etcd is away.
		l.waiting = append(slices.DeleteFunc(l.waiting, command.gaveUp), cmd)
	default:
		l.open(cmd)
	}
}

// open answers a stream; see [command] for what happens when it has given up.
func (l *loop) open(cmd command) {
	if cmd.gaveUp() {
		return
	}
	name := cmd.scope.Name()
	err := l.enter(cmd.scope)
	select {
	case cmd.reply <- err:
	case <-cmd.ctx.Done():
		if err == nil {
			l.close(name)
		}
	}
}

// enter counts one more stream of a scope and translates it if it is the first.
func (l *loop) enter(scope translate.Scope) error {
	atEdge := scope.Proxy.Profile == mesh.GatewayProfile
	if _, declared := l.view.Service(scope.Service); !declared && !atEdge {
		if l.view.Unreadable(scope.Service) {
			return unreadableService(scope.Service)
		}
		return unknownService(scope.Service)
	}
	name := scope.Name()
	one, known := l.scopes[name]
	if !known {
		one = &openScope{scope: scope}
		l.scopes[name] = one
		l.plane.scopes.open(scope)
		if atEdge {
			l.gateways[name] = one
		} else {
			if l.byService[scope.Service] == nil {
				l.byService[scope.Service] = map[string]*openScope{}
			}
			l.byService[scope.Service][name] = one
		}
		l.push([]*openScope{one}, catalog.Changes{})
	}
	one.streams++
	return nil
}

// close forgets a scope once its last stream is gone.
func (l *loop) close(name string) {
	one, known := l.scopes[name]
	if !known {
		return
	}
	if one.streams--; one.streams > 0 {
		return
	}
	delete(l.scopes, name)
	delete(l.gateways, name)
	delete(l.byService[one.scope.Service], name)
	if len(l.byService[one.scope.Service]) == 0 {
		delete(l.byService, one.scope.Service)
	}
	l.hold(one, nil)
	l.plane.problems.set(name, nil)
	l.plane.scopes.close(name)
	l.out.Apply(xds.Update{Revision: l.revision(), Scopes: map[string][]xds.Key{name: nil}})
}

// change brings the open scopes up to a new view.
func (l *loop) change(next change) {
	l.view = next.view
	if !l.view.Synced() {
		return
	}
	l.push(l.affected(next.changes), next.changes)
	l.plane.applied.Store(l.view.Revision())
	waiting := l.waiting
	l.waiting = nil
	for _, cmd := range waiting {
		l.open(cmd)
	}
}

// affected finds the open scopes that a change of declarations reaches: those
// of the changed services themselves, of the services that declared them, and
// of the gateways with a route to them.
// A scope whose service is no longer declared keeps what it has: its proxies
// are still connected, and their callers have lost their routes to it anyway.
func (l *loop) affected(changes catalog.Changes) []*openScope {
	found := map[string]*openScope{}
	add := func(service mesh.ServiceName) {
		if _, declared := l.view.Service(service); !declared {
			return
		}
		for name, one := range l.byService[service] {
			found[name] = one
		}
	}
	for service := range changes.Services {
		add(service)
		for _, dependent := range l.view.Dependents(service) {
			add(dependent)
		}
	}
	if l.plane.cfg.Trust.Roots != nil { // a sidecar knows who may call
		for service := range changes.Callers {
			add(service)
		}
	}
	everywhere := changes.Runtime || changes.Trust
	if everywhere {
		for service := range l.byService {
			add(service)
		}
	}
	for name, one := range l.gateways {
		if everywhere || one.needsAny(l.view, changes) {
			found[name] = one
		}
	}
	list := make([]*openScope, 0, len(found))
	for _, one := range found {
		list = append(list, one)
	}
	return list
}

// needsAny says whether a change is of something that the gateway is made from,
// or is from now on.
func (o *openScope) needsAny(view *catalog.View, changes catalog.Changes) bool {
	for name := range changes.Services {
		if _, is := o.needs.Services[name]; is {
			return true
		}
	}
	for name := range changes.Routes {
		if _, was := o.needs.Routes[name]; was {
			return true
		}
		if route, there := view.Route(name); there && route.ServedBy(o.scope.Service) {
			return true
		}
	}
	return false
}

// push translates scopes anew, and the endpoints of the services whose
// instances changed, and applies all of it in one transaction.
func (l *loop) push(scopes []*openScope, changes catalog.Changes) {
	start := time.Now()
	b := newBatch(l.plane.cfg.Logger, l.made)
	for _, one := range scopes {
		resources, problems := translate.Build(l.view, one.scope, l.plane.cfg.Trust)
		if one.scope.Proxy.Profile == mesh.GatewayProfile {
			one.needs = translate.GatewayNeeds(l.view, one.scope.Service)
		}
		l.hold(one, b.add(resources))
		b.update.Scopes[one.scope.Name()] = one.members
		l.plane.problems.set(one.scope.Name(), problems)
	}
	for service := range changes.Instances {
		for _, resource := range translate.Endpoints(l.view, service) {
			if l.holders[xds.Key{Type: resource.Type, Name: resource.Name}] > 0 {
				b.add([]translate.Resource{resource})
			}
		}
	}
	if len(b.update.Put) == 0 && len(b.update.Scopes) == 0 {
		return
	}
	b.update.Revision, b.update.Written, b.update.Traces = l.revision(), changes.Written, changes.Traces
	ended := time.Now()
	l.plane.metrics.translated(ended.Sub(start))
	if len(changes.Traces) > 0 && l.plane.cfg.Translated != nil {
		l.plane.cfg.Translated(changes.Traces, start, ended, len(scopes), len(b.update.Put))
	}
	l.out.Apply(b.update)
}
