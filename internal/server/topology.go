package server

import (
	"context"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/picture"
)

func (s *Server) topologyOperations() {
	const busy = " A server lays out two pictures at a time, and one for those without a token; one that waits for its turn too long is refused with 503, and Retry-After says when to ask again."
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/topology", tag: "traffic", id: "getTopology", summary: "The picture of the mesh: who is there, and who calls whom",
		description: "Declarations and what proxies have seen, together. With a focus, those who call it and whom it calls, up to a depth; without one, the whole mesh. With layout, where everything is drawn, too." + busy,
		refusals:    []int{http.StatusNotFound},
	}, s.getTopology)
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/topology.svg", tag: "traffic", id: "drawTopology", summary: "The picture of the mesh, drawn (SVG)",
		description: "A file that is whole by itself, with a legend." + busy, refusals: []int{http.StatusNotFound},
	}, s.drawTopology)
}

// TopologyQuery is what is shown of the mesh.
type TopologyQuery struct {
	Focus string `query:"focus" maxLength:"256" doc:"The node in the middle: a service, gateway/NAME, or a host that is in the picture." example:"orders"`
	Depth int    `query:"depth" minimum:"0" maximum:"100" default:"1" doc:"How many calls away from the focus nodes are shown."`
}

type topologyAnswer struct {
	Body mesh.Topology
}

func (s *Server) getTopology(ctx context.Context, in *struct {
	TopologyQuery
	Layout bool `query:"layout" doc:"Add where everything is drawn."`
	Call
}) (*topologyAnswer, error) {
	if in.Layout {
		done, err := s.layouts.Take(ctx, s.knows(ctx, &in.Call))
		if err != nil {
			return nil, err
		}
		defer done()
	}
	t, err := s.topology(ctx, in.TopologyQuery)
	if err != nil {
		return nil, err
	}
	if in.Layout {
		insight.Layout(&t)
	}
	return &topologyAnswer{Body: t}, nil
}

func (s *Server) topology(ctx context.Context, q TopologyQuery) (mesh.Topology, error) {
	if q.Depth < 0 || q.Depth > 100 {
		return mesh.Topology{}, fault("query.depth", "is not from 0 to 100")
	}
	seen, err := s.seen(ctx)
	if err != nil {
		return mesh.Topology{}, err
	}
	return insight.Topology(s.cfg.Catalog.View(), seen, insight.TopologyOptions{Focus: q.Focus, Depth: q.Depth, Now: time.Now()})
}

type drawnAnswer struct {
	ContentType string `header:"Content-Type"`
	Policy      string `header:"Content-Security-Policy"`
	Body        []byte `contentType:"image/svg+xml"`
}

func (s *Server) drawTopology(ctx context.Context, in *struct {
	TopologyQuery
	Call
}) (*drawnAnswer, error) {
	done, err := s.layouts.Take(ctx, s.knows(ctx, &in.Call))
	if err != nil {
		return nil, err
	}
	defer done()
	t, err := s.topology(ctx, in.TopologyQuery)
	if err != nil {
		return nil, err
	}
	insight.Layout(&t)
	return &drawnAnswer{ContentType: "image/svg+xml", Policy: "default-src 'none'; frame-ancestors 'none'", Body: picture.SVG(&t, picture.Options{})}, nil
}
