package main

import (
	"slices"

	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// meshEdges answers who may call whom from what is declared.
type meshEdges struct{ catalog *catalog.Catalog }

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
		switch {
		case !slices.ContainsFunc(view.RoutesTo(callee), func(r *mesh.Route) bool { return r.ServedBy(gateway) }):
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
