package gatewayapi

import (
	"fmt"
	"slices"
	"time"

	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// rule is one of an HTTPRoute or a GRPCRoute, in the words that both have in common.
type rule struct {
	matches           []mesh.RequestMatch
	request, response *mesh.HeaderChange
	redirect          *gw.HTTPRequestRedirectFilter
	rewrite           *gw.HTTPURLRewriteFilter
	mirror            *gw.HTTPRequestMirrorFilter
	timeout           mesh.Duration
	backends          []gw.BackendRef
	unsupported       string // the first thing that the mesh's routes cannot say
}

func (r *rule) lacks(format string, args ...any) {
	if r.unsupported == "" {
		r.unsupported = fmt.Sprintf(format, args...)
	}
}

// noTimeout is the longest that the mesh has.
const noTimeout = 24 * time.Hour

func httpRule(in *gw.HTTPRouteRule) rule {
	var r rule
	for i := range in.Matches {
		r.matches = append(r.matches, r.httpMatch(&in.Matches[i]))
	}
	if len(in.Matches) == 0 {
		r.matches = []mesh.RequestMatch{{Path: &mesh.PathMatch{Prefix: "/"}}}
	}
	for _, f := range in.Filters {
		r.filter(f.Type, f.RequestHeaderModifier, f.ResponseHeaderModifier, f.RequestMirror)
		switch f.Type {
		case gw.HTTPRouteFilterRequestRedirect:
			r.redirect = f.RequestRedirect
		case gw.HTTPRouteFilterURLRewrite:
			r.rewrite = f.URLRewrite
		}
	}
	r.paths()
	for _, b := range in.BackendRefs {
		if len(b.Filters) > 0 {
			r.lacks("backendRefs.filters are not served: use filters of the rule")
		}
		r.backends = append(r.backends, b.BackendRef)
	}
	if t := in.Timeouts; t != nil {
		if t.BackendRequest != nil {
			r.lacks("timeouts.backendRequest is not served: use timeouts.request")
		}
		if t.Request != nil {
			d, err := time.ParseDuration(string(*t.Request))
			if err != nil {
				r.lacks("timeouts.request %s is no time", *t.Request)
			}
			if d == 0 { // none: the gateway has its own, which is an hour
				d = noTimeout
			}
			r.timeout = mesh.Duration(d)
		}
	}
	if in.Retry != nil {
		r.lacks("retry is not served: a service of the mesh declares its retries")
	}
	if in.SessionPersistence != nil {
		r.lacks("sessionPersistence is not served")
	}
	return r
}

// path is how the rule replaces paths; nil: it leaves them.
func (r *rule) path() *gw.HTTPPathModifier {
	switch {
	case r.rewrite != nil:
		return r.rewrite.Path
	case r.redirect != nil:
		return r.redirect.Path
	}
	return nil
}

// paths finds the new paths that the mesh's routes cannot say.
func (r *rule) paths() {
	if r.rewrite != nil && r.redirect != nil {
		r.lacks("filters: a rule either redirects or rewrites")
	}
	path := r.path()
	for _, m := range r.matches {
		if path != nil && path.Type == gw.PrefixMatchHTTPPathModifier && m.Path.Prefix == "" {
			r.lacks("filters: ReplacePrefixMatch is served for matches of type PathPrefix alone")
		}
	}
}

// filter takes what both kinds of routes have.
func (r *rule) filter(kind gw.HTTPRouteFilterType, request, response *gw.HTTPHeaderFilter, mirror *gw.HTTPRequestMirrorFilter) {
	switch kind {
	case gw.HTTPRouteFilterRequestHeaderModifier:
		r.request = r.headers(r.request, request)
	case gw.HTTPRouteFilterResponseHeaderModifier:
		r.response = r.headers(r.response, response)
	case gw.HTTPRouteFilterRequestMirror:
		if r.mirror != nil {
			r.lacks("filters: two mirrors are not served")
		}
		r.mirror = mirror
	case gw.HTTPRouteFilterRequestRedirect, gw.HTTPRouteFilterURLRewrite:
	default:
		r.lacks("filters: %s is not served", kind)
	}
}

func (r *rule) headers(before *mesh.HeaderChange, in *gw.HTTPHeaderFilter) *mesh.HeaderChange {
	if before != nil {
		r.lacks("filters: the same headers are changed by two filters: use one")
	}
	if in == nil {
		return nil
	}
	out := &mesh.HeaderChange{Set: values(in.Set), Add: values(in.Add), Remove: in.Remove}
	return out
}

func values(in []gw.HTTPHeader) map[string]string {
	var out map[string]string
	for _, one := range in {
		if out == nil {
			out = map[string]string{}
		}
		out[string(one.Name)] = one.Value
	}
	return out
}

func (r *rule) httpMatch(in *gw.HTTPRouteMatch) mesh.RequestMatch {
	out := mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/"}}
	if p := in.Path; p != nil {
		value, kind := "/", gw.PathMatchPathPrefix
		if p.Value != nil {
			value = *p.Value
		}
		if p.Type != nil {
			kind = *p.Type
		}
		switch kind {
		case gw.PathMatchExact:
			out.Path = &mesh.PathMatch{Exact: value}
		case gw.PathMatchPathPrefix:
			out.Path = &mesh.PathMatch{Prefix: value}
		case gw.PathMatchRegularExpression:
			out.Path = &mesh.PathMatch{Regex: value}
		default:
			r.lacks("matches.path.type %s is not served", kind)
		}
	}
	for _, h := range in.Headers {
		kind := gw.HeaderMatchExact
		if h.Type != nil {
			kind = *h.Type
		}
		out.Headers = r.header(out.Headers, string(h.Name), h.Value, string(kind))
	}
	for _, q := range in.QueryParams {
		kind := gw.QueryParamMatchExact
		if q.Type != nil {
			kind = *q.Type
		}
		out.Query = r.parameter(out.Query, string(q.Name), q.Value, kind)
	}
	if in.Method != nil {
		out.Methods = []string{string(*in.Method)}
	}
	return out
}

// parameter adds the match of one; of two of one name the first counts.
func (r *rule) parameter(all []mesh.QueryMatch, name, value string, kind gw.QueryParamMatchType) []mesh.QueryMatch {
	if slices.ContainsFunc(all, func(one mesh.QueryMatch) bool { return one.Name == name }) {
		return all
	}
	switch kind {
	case gw.QueryParamMatchExact:
		return append(all, mesh.QueryMatch{Name: name, Exact: value})
	case gw.QueryParamMatchRegularExpression:
		return append(all, mesh.QueryMatch{Name: name, Regex: value})
	}
	r.lacks("matches.queryParams.type %s is not served", kind)
	return all
}

// header adds the match of a header; of two of one name the first counts.
func (r *rule) header(all []mesh.HeaderMatch, name, value, kind string) []mesh.HeaderMatch {
	for _, one := range all {
		if sameHeader(one.Name, name) {
			return all
		}
	}
	switch kind {
	case string(gw.HeaderMatchExact):
		return append(all, mesh.HeaderMatch{Name: name, Exact: value})
	case string(gw.HeaderMatchRegularExpression):
		return append(all, mesh.HeaderMatch{Name: name, Regex: value})
	}
	r.lacks("matches.headers.type %s is not served", kind)
	return all
}
