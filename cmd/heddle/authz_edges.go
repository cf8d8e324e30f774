package main

import (
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// meshEdges answers who may call whom from what is declared.
type meshEdges struct {
	catalog *catalog.Catalog
	routed  sync.Map // map[routedPair]time.Time: when a gateway was last routed to a service
}

type routedPair struct{ gateway, callee mesh.ServiceName }

// routesLinger is for how long a gateway may go on calling a service that its routes
// have left: a change is tried by one gateway first, and the others follow.
const routesLinger = 30 * time.Second

// lingers says whether a gateway is routed to a service, or was until just now.
func (e *meshEdges) lingers(pair routedPair, routed bool) bool {
	now := time.Now()
	last, is := e.routed.Load(pair)
	at, _ := last.(time.Time)
	switch {
	case routed && (!is || now.Sub(at) > time.Second): // one in a second is noted
		e.routed.Store(pair, now)
	case !routed && is && now.Sub(at) > routesLinger:
		e.routed.Delete(pair)
		return false
	}
	return routed || is
}

// Edge implements [authz.Edges].
func (e *meshEdges) Edge(caller authz.Caller, callee mesh.ServiceName) (authz.Edge, error) {
	view := e.catalog.View()
	if !view.Synced() {
		return authz.Edge{}, mesh.Unavailable(nil, "the mesh has not been read from etcd yet")
	}
	service, is := view.Service(callee)
	if !is {
		return authz.Edge{Reason: authz.UnknownCallee}, nil
	}
	edge := authz.Edge{Enforcement: service.Access.Enforcement}
	if caller.Kind == authz.GatewayCaller {
		gateway := mesh.ServiceName(caller.Name)
		routed := slices.ContainsFunc(view.RoutesTo(callee), func(r *mesh.Route) bool { return r.ServedBy(gateway) })
		switch {
		case !e.lingers(routedPair{gateway, callee}, routed):
			edge.Reason = authz.NotRouted
		case !service.Access.Admits(mesh.GatewayCaller(gateway)):
			edge.Reason = authz.Unapproved
		}
		return edge, nil
	}
	name := mesh.ServiceName(caller.Name)
	if _, is := slices.BinarySearch(view.Dependents(callee), name); is {
		if !service.Access.Admits(caller.Name) {
			edge.Reason = authz.Unapproved
		}
		return edge, nil
	}
	edge.Reason = authz.Undeclared
	if _, is := view.Service(name); !is {
		edge.Reason = authz.UnknownCaller
	}
	return edge, nil
}
