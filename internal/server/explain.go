package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

type explainAnswer struct {
	Body mesh.Explanation
}

func (s *Server) answerOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/explain", tag: "answers", id: "explain", summary: "Why a service can call another, or cannot",
		description: "Goes the way of a request, from the declaration to the called sidecar's filters, through what the proxies are really sent. Names the first thing that stops it, what the caller sees, and the command that mends it. Services that do not exist are no error, but an answer; an instance of the caller that nobody knows is an error. What became of such calls lately is part of the answer, where proxies report it.",
	}, s.explain)
}

func (s *Server) explain(_ context.Context, in *struct {
	From   string   `query:"from" required:"true" maxLength:"200" doc:"Who calls: a service, one of its proxies as SERVICE/INSTANCE, or gateway/NAME." example:"web"`
	To     string   `query:"to" required:"true" maxLength:"63" doc:"The service that is called." example:"orders"`
	Method string   `query:"method" maxLength:"64" doc:"Default GET, of gRPC POST." example:"GET"`
	Path   string   `query:"path" maxLength:"8000" doc:"Default /." example:"/api"`
	Host   string   `query:"host" maxLength:"256" doc:"The host that is asked for; default: the service's name, at a gateway a host of a route to it." example:"shop.example.com"`
	Scheme string   `query:"scheme" enum:"http,https" doc:"How a gateway is asked; default https if it has a port for it."`
	Header []string `query:"header,explode" doc:"A header that routes may match, as name=value. May be repeated." example:"x-canary=1"`
}) (*explainAnswer, error) {
	q := insight.Question{From: in.From, To: mesh.ServiceName(in.To), Request: mesh.ExplainedRequest{Scheme: in.Scheme, Method: in.Method, Path: in.Path, Host: in.Host}}
	faults := q.Validate()
	for _, one := range in.Header {
		name, value, is := strings.Cut(one, "=")
		if !is || name == "" {
			faults.Add("header", "%q is not name=value", shown(one))
			continue
		}
		if q.Request.Headers == nil {
			q.Request.Headers = map[string]string{}
		}
		q.Request.Headers[strings.ToLower(name)] = value
	}
	for i := range faults {
		faults[i].Path = "query." + faults[i].Path
	}
	if err := mesh.Invalid("this is not a call that can be explained", faults); err != nil {
		return nil, err
	}
	answer, err := insight.Explain(s.mesh(), q)
	if err != nil {
		return nil, err
	}
	return &explainAnswer{Body: answer}, nil
}

// mesh is what questions are asked of.
func (s *Server) mesh() insight.Mesh {
	if s.cfg.Mesh == nil {
		return insight.Mesh{View: s.cfg.Catalog.View(), Now: time.Now()}
	}
	return s.cfg.Mesh()
}
