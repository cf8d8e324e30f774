package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func (s *Server) stateOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/health", tag: "status", id: "getHealth", summary: "How all services fare, and the mesh as a whole",
		description: "By their instances, the worst first. The answer is 200 however they fare: status says it. Whether this server serves, /readyz says.",
	}, s.getHealth)
	register(s, operation{
		method: http.MethodGet, path: "/api/state", tag: "status", id: "getState", summary: "What this server knows, in numbers",
		description: "Versions, the proxies that are connected to it, and how many services, instances, routes, machines and AuthZ services there are.",
	}, s.getState)
}

type meshHealthAnswer struct {
	Body mesh.MeshHealth
}

func (s *Server) getHealth(context.Context, *struct{}) (*meshHealthAnswer, error) {
	view := s.cfg.Catalog.View()
	if !view.Synced() {
		return nil, mesh.Unavailable(nil, "the mesh has not been read from etcd yet")
	}
	return &meshHealthAnswer{Body: insight.Health(view)}, nil
}

type stateAnswer struct {
	Body mesh.MeshState
}

func (s *Server) getState(context.Context, *struct{}) (*stateAnswer, error) {
	view := s.cfg.Catalog.View()
	if !view.Synced() {
		return nil, mesh.Unavailable(nil, "the mesh has not been read from etcd yet")
	}
	out := mesh.MeshState{Server: s.name, Version: s.cfg.Version, Revision: view.Revision(), SnapshotVersion: view.VMRevision()}
	out.Counts = mesh.ObjectCounts{
		Services: view.ServiceCount(), InstancesBy: map[string]int{}, Routes: len(view.Routes()), VMs: view.VMCount(), AuthzServices: len(view.Authorizers()),
	}
	for one := range view.AllInstances() {
		out.Counts.Instances++
		by := string(one.Meta.Keeper)
		if by == "" {
			by = "registered"
		}
		out.Counts.InstancesBy[by]++
	}
	if s.cfg.Proxies != nil {
		all := s.cfg.Proxies()
		for i := range all {
			out.Proxies.Connected++
			behind, refused := all[i].Behind()
			if behind {
				out.Proxies.Behind++
			}
			if refused {
				out.Proxies.Refusing++
			}
			for _, t := range all[i].Types {
				out.Proxies.Rejections += t.Rejections
			}
		}
	}
	return &stateAnswer{Body: out}, nil
}
