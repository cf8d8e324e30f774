package gatewayapi

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// serve makes the mesh's routes for what a gateway serves of a route.
func (t *translation) serve(r *route, g *gateway, places served) {
	for _, at := range slices.SortedFunc(mapKeys(places), func(a, b place) int { return cmp.Compare(a.scheme, b.scheme) }) {
		t.each(r, g, at, places[at], func(made mesh.Route) {
			t.result.Routes = append(t.result.Routes, Route{made, r.object()})
		})
	}
}

// unsupported says what of a route the mesh's routes cannot say.
func (t *translation) unsupported(r *route) (why fault) {
	for i := range r.rules {
		if lacks := r.rules[i].unsupported; lacks != "" {
			return fault{string(gw.RouteReasonUnsupportedValue), fmt.Sprintf("spec.rules[%d].%s", i, lacks)}
		}
	}
	sample := &gateway{Gateway: &gw.Gateway{}, mesh: "sample"}
	t.each(r, sample, place{mesh.PlainHTTP, 80}, []string{mesh.AnyHost}, func(made mesh.Route) {
		if faults := made.Validate(); len(faults) > 0 {
			why.first(string(gw.RouteReasonUnsupportedValue), "the mesh has no such route: "+faults.String())
		}
	})
	return why
}

// each makes a route of the mesh for each match of each rule.
func (t *translation) each(r *route, g *gateway, at place, hosts []string, give func(mesh.Route)) {
	nth := int64(0)
	for i := range r.rules {
		rule := &r.rules[i]
		for j, match := range rule.matches {
			made := mesh.Route{
				Name:  mesh.RouteName(label(string(r.kind)[:4]+"route", t.Cluster, r.GetNamespace(), r.GetName(), g.Namespace, g.Name, string(at.scheme), strconv.Itoa(i), strconv.Itoa(j))),
				Owner: ownerOf(r), Hosts: hosts, Gateways: []mesh.ServiceName{g.mesh}, Schemes: []mesh.Scheme{at.scheme}, Order: r.order | min(nth, 1023),
				Match: match, RequestHeaders: rule.request, ResponseHeaders: rule.response,
			}
			made.Name = lower(made.Name)
			path := rule.path()
			made.WholePath = path != nil && path.Type == gw.FullPathHTTPPathModifier && match.Path.Exact == ""
			nth++
			if rule.redirect != nil {
				made.Redirect = redirect(rule.redirect, at)
			} else {
				t.answer(r, rule, &made)
			}
			give(made)
		}
	}
}

// answer has backends answer, or refuses what no backend can, as the Gateway API asks
// for: with 500, and with gRPC's UNAVAILABLE.
func (t *translation) answer(r *route, rule *rule, made *mesh.Route) {
	total := 0
	var backends []mesh.WeightedBackend
	for _, ref := range rule.backends {
		weight := 1
		if ref.Weight != nil {
			weight = int(*ref.Weight)
		}
		name, why := t.backend(r, ref.BackendObjectReference)
		if why.reason != "" {
			name = mesh.NoBackend // its share is refused
		} else {
			total += weight
		}
		at := slices.IndexFunc(backends, func(one mesh.WeightedBackend) bool { return one.Service == name })
		if at >= 0 {
			backends[at].Weight += weight
		} else {
			backends = append(backends, mesh.WeightedBackend{Service: name, Weight: weight})
		}
	}
	if total == 0 {
		made.Refuse, made.WholePath = 500, false
		if r.kind == grpcRoute {
			made.Refuse = 503
		}
		return
	}
	made.Backends, made.Timeout = backends, rule.timeout
	if w := rule.rewrite; w != nil {
		made.Rewrite = replaced(w.Path)
		if w.Hostname != nil {
			made.RewriteHost = string(*w.Hostname)
		}
	}
	if m := rule.mirror; m != nil {
		if name, why := t.backend(r, m.BackendRef); why.reason == "" {
			made.Mirror = &mesh.RouteMirror{Service: name, Percent: share(m)}
		}
	}
}

func share(m *gw.HTTPRequestMirrorFilter) float64 {
	switch {
	case m.Percent != nil:
		return float64(*m.Percent)
	case m.Fraction != nil:
		of := int32(100)
		if m.Fraction.Denominator != nil {
			of = *m.Fraction.Denominator
		}
		return 100 * float64(m.Fraction.Numerator) / float64(max(of, 1))
	}
	return 100
}

func replaced(p *gw.HTTPPathModifier) string {
	switch {
	case p == nil:
	case p.ReplaceFullPath != nil:
		return cmp.Or(*p.ReplaceFullPath, "/")
	case p.ReplacePrefixMatch != nil:
		return cmp.Or(*p.ReplacePrefixMatch, "/")
	}
	return ""
}

// redirect leaves out a port that is the scheme's own. Without a port and a scheme the
// port is the listener's.
func redirect(in *gw.HTTPRequestRedirectFilter, at place) *mesh.Redirect {
	out := &mesh.Redirect{Status: 302}
	if in.Scheme != nil {
		out.Scheme = mesh.Scheme(*in.Scheme)
	}
	if in.Hostname != nil {
		out.Host = string(*in.Hostname)
	}
	if in.StatusCode != nil {
		out.Status = *in.StatusCode
	}
	if in.Path != nil {
		out.Path = replaced(in.Path)
	}
	port := mesh.Port(0)
	switch {
	case in.Port != nil:
		port = mesh.Port(*in.Port)
	case in.Scheme == nil:
		port = mesh.Port(at.port)
	}
	own := mesh.Port(80)
	if cmp.Or(out.Scheme, at.scheme) == mesh.HTTPS {
		own = 443
	}
	if port != own || out.Host == "" && in.Port != nil {
		out.Port = port
	}
	return out
}
