package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func (s *Server) edgeOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/edges", tag: "traffic", id: "listEdges", summary: "Who calls whom, as sidecars and gateways see it",
		description: "What proxies that report to any server of this mesh have seen, declared or not. Empty if the servers take no reports.",
	}, s.listEdges)
}

// seen is what proxies reported; nothing if nobody gathers it.
func (s *Server) seen(ctx context.Context) (insight.Observed, error) {
	if s.cfg.Observed == nil {
		return insight.Observed{}, nil
	}
	return s.cfg.Observed(ctx)
}

func (s *Server) listEdges(ctx context.Context, in *struct {
	Service string `query:"service" maxLength:"256" doc:"Only the edges of this caller or callee: a service, or gateway/NAME." example:"web"`
}) (*Listed[mesh.Edge], error) {
	seen, err := s.seen(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]mesh.Edge, 0, len(seen.Edges))
	for _, edge := range seen.Edges {
		if insight.OfAddress(edge.Caller) {
			continue
		}
		if in.Service == "" || edge.Caller == in.Service || edge.Callee == in.Service {
			out = append(out, edge)
		}
	}
	return listed(out, 0), nil
}
