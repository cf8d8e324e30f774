package gatewayapi

import (
	"regexp"
	"strings"

	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func grpcRule(in *gw.GRPCRouteRule) rule {
	var r rule
	for i := range in.Matches {
		m := mesh.RequestMatch{Path: r.grpcMethod(in.Matches[i].Method)}
		for _, h := range in.Matches[i].Headers {
			kind := gw.GRPCHeaderMatchExact
			if h.Type != nil {
				kind = *h.Type
			}
			m.Headers = r.header(m.Headers, string(h.Name), h.Value, string(kind))
		}
		r.matches = append(r.matches, m)
	}
	if len(in.Matches) == 0 {
		r.matches = []mesh.RequestMatch{{Path: &mesh.PathMatch{Prefix: "/"}}}
	}
	for _, f := range in.Filters {
		r.filter(gw.HTTPRouteFilterType(f.Type), f.RequestHeaderModifier, f.ResponseHeaderModifier, f.RequestMirror)
	}
	for _, b := range in.BackendRefs {
		if len(b.Filters) > 0 {
			r.lacks("backendRefs.filters are not served: use filters of the rule")
		}
		r.backends = append(r.backends, b.BackendRef)
	}
	if in.SessionPersistence != nil {
		r.lacks("sessionPersistence is not served")
	}
	return r
}

// grpcMethod is the path that a method of gRPC has: /service/method.
func (r *rule) grpcMethod(m *gw.GRPCMethodMatch) *mesh.PathMatch {
	service, method := "", ""
	if m != nil && m.Service != nil {
		service = *m.Service
	}
	if m != nil && m.Method != nil {
		method = *m.Method
	}
	if service == "" && method == "" {
		return &mesh.PathMatch{Prefix: "/"}
	}
	if m.Type != nil && *m.Type == gw.GRPCMethodMatchRegularExpression {
		orAny := func(pattern string) string {
			if pattern == "" {
				return "[^/]+"
			}
			return "(?:" + pattern + ")"
		}
		return &mesh.PathMatch{Regex: "/" + orAny(service) + "/" + orAny(method)}
	}
	switch {
	case method == "":
		return &mesh.PathMatch{Prefix: "/" + service}
	case service == "":
		return &mesh.PathMatch{Regex: "/[^/]+/" + regexp.QuoteMeta(method)}
	}
	return &mesh.PathMatch{Exact: "/" + service + "/" + method}
}

func sameHeader(a, b string) bool { return strings.EqualFold(a, b) }
