package server

import (
	"cmp"
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	defaultResources = 100
	maxResources     = 1000
)

func (s *Server) proxyOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/proxies/{node}/config", tag: "status", id: "getProxyConfig", summary: "What a connected proxy has of its configuration",
		description: "Of each resource the versions that the proxy acknowledged, was sent, and is to have, and the newest, with the declaration that it follows from, all as it was at one moment; and the resources themselves. Of the proxies that are connected to this server. Keys and passwords are left out.",
		refusals:    []int{http.StatusNotFound},
	}, s.getProxyConfig)
}

func (s *Server) getProxyConfig(_ context.Context, in *struct {
	Node    string `path:"node" maxLength:"520" doc:"The node id, its slash as %2F." example:"web/web-1"`
	Type    string `query:"type" maxLength:"128" doc:"Only this type: clusters, endpoints, listeners, routes, secrets, runtime or extensions, or cds, eds and so on, or a type URL." example:"clusters"`
	Name    string `query:"name" maxLength:"1024" doc:"Only resources whose names have this in them." example:"orders"`
	Diff    bool   `query:"diff" doc:"Only what the proxy has in another version than the newest, with the difference."`
	Content bool   `query:"content" default:"true" doc:"The resources themselves, and not their versions alone."`
	After   string `query:"after" maxLength:"1200" doc:"Only those behind: what the answer before had as next." example:"clusters/orders"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" doc:"How many at most; default 100. Large ones may make them fewer."`
}) (*struct{ Body mesh.ProxyConfig }, error) {
	q := mesh.ProxyQuery{Node: in.Node, Name: in.Name, Differ: in.Diff, Content: in.Content, After: in.After, Limit: cmp.Or(in.Limit, defaultResources)}
	var faults mesh.Faults
	if q.Limit < 1 || q.Limit > maxResources {
		faults.Add("query.limit", "wants 1 to 1000")
	}
	if in.Type != "" {
		var known bool
		if q.Type, known = mesh.ResourceType(in.Type); !known {
			faults.Add("query.type", "is none of clusters, endpoints, listeners, routes, secrets, runtime and extensions")
		}
	}
	if err := mesh.Invalid("the request's parameters are wrong", faults); err != nil {
		return nil, err
	}
	if s.cfg.ProxyConfig == nil {
		return nil, mesh.NotFound("no proxy %q is connected to this server: it serves none", mesh.Cut(in.Node, 200))
	}
	config, err := s.cfg.ProxyConfig(q)
	if err != nil {
		return nil, err
	}
	return &struct{ Body mesh.ProxyConfig }{config}, nil
}
