package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

type progressAnswer struct {
	Body mesh.Progress
}

func (s *Server) progressOperations() {
	const description = "Counts the proxies that are connected to this server and need it, and those of them that have acknowledged all that they were to be sent. What was written is with them once the answer's revision is not below that of the write."
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/services/{name}/progress", tag: "status", id: "getServiceProgress",
		summary: "How far the proxies have come that need a service", description: description,
	}, func(_ context.Context, in *ServicePath) (*progressAnswer, error) {
		if err := serviceNameFault(in.Name); err != nil {
			return nil, err
		}
		return s.counted(insight.ServiceProgress(s.mesh(), mesh.ServiceName(in.Name))), nil
	})
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/routes/{name}/progress", tag: "status", id: "getRouteProgress",
		summary: "How far the gateways have come that serve a route", description: description,
	}, func(_ context.Context, in *RoutePath) (*progressAnswer, error) {
		if err := routeNameFault(in.Name); err != nil {
			return nil, err
		}
		return s.counted(insight.RouteProgress(s.mesh(), mesh.RouteName(in.Name))), nil
	})
}

func (s *Server) counted(p mesh.Progress) *progressAnswer {
	p.Server = s.name
	return &progressAnswer{Body: p}
}
