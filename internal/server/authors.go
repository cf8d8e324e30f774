package server

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Who wrote something is told to those whom the audit tells it. What everybody may
// read is answered to the others without it.

// authors says whose writes a request's sender is told of.
func (s *Server) authors(r *http.Request) insight.Authors {
	out := insight.Authors{View: s.cfg.Catalog.View()}
	if len(r.Header.Values("Authorization")) == 0 {
		return out
	}
	if token, err := s.authenticate(r.Context(), &Call{request: r}); err == nil { // a bad token reads as none does
		out.May = token.MayRead
	}
	return out
}

// withoutAuthors leaves out of an answer the authors that the reader is not told.
func (s *Server) withoutAuthors(ctx huma.Context, _ string, body any) (any, error) {
	r, _ := humago.Unwrap(ctx)
	switch body := body.(type) {
	case Service:
		hideService(s.authors(r), &body)
		return body, nil
	case List[Service]:
		return hideEach(s.authors(r), body, hideService), nil
	case mesh.Route:
		hideRoute(s.authors(r), &body)
		return body, nil
	case List[mesh.Route]:
		return hideEach(s.authors(r), body, hideRoute), nil
	case mesh.Instance:
		hideInstance(s.authors(r), &body)
		return body, nil
	case List[mesh.Instance]:
		return hideEach(s.authors(r), body, hideInstance), nil
	case mesh.Runtime:
		hideRuntime(s.authors(r), &body)
		return body, nil
	case List[Proxy]:
		body.Items = s.authors(r).Proxies(body.Items)
		return body, nil
	case mesh.ProxyConfig:
		return s.authors(r).ProxyConfig(body), nil
	case mesh.Explanation:
		s.authors(r).Explanation(&body)
		return body, nil
	}
	return body, nil
}

func hideEach[T any](a insight.Authors, list List[T], hide func(insight.Authors, *T)) List[T] {
	list.Items = slices.Clone(list.Items)
	for i := range list.Items {
		hide(a, &list.Items[i])
	}
	return list
}

func hideService(a insight.Authors, one *Service) {
	if a.May == nil || !a.May(one.Name, []string{one.Owner}) {
		one.Meta.Author = ""
	}
}

func hideRoute(a insight.Authors, one *mesh.Route) {
	if a.May == nil || !a.May(admin, []string{one.Owner}) {
		one.Meta.Author = ""
	}
}

func hideInstance(a insight.Authors, one *mesh.Instance) {
	if !a.Of("service/" + string(one.Service)) {
		one.Meta.Author = ""
	}
}

func hideRuntime(a insight.Authors, one *mesh.Runtime) {
	if !a.Of("runtime") {
		one.Meta.Author = ""
	}
}
