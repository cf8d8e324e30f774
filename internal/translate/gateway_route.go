package translate

import (
	"cmp"
	"reflect"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// route is what happens to the requests that a route matches.
func (g *gateway) route(r *mesh.Route) *routev3.Route {
	if g.served[r] == nil {
		g.served[r] = g.serve(r)
	}
	return g.served[r]
}

func (g *gateway) serve(r *mesh.Route) *routev3.Route {
	out := &routev3.Route{Name: string(r.Name), Match: routeMatch(r.Match)}
	if r.RateLimit != nil {
		out.TypedPerFilterConfig = map[string]*anypb.Any{rateLimitFilter: pack(rateLimit(r.RateLimit))}
	}
	if why := g.unaskable(r); why != "" {
		g.wrong(r, "%s: its requests are answered 503", why)
		return g.closed(out, r, `heddle: route %q cannot be served yet: heddle status says why`)
	}
	changeHeaders(out, r)
	if r.Refuse != 0 {
		refused := refusal(uint32(r.Refuse), reasonRefused, "heddle: route "+strconv.Quote(string(r.Name))+" answers this")
		out.Action = refused.GetAction()
		out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, refused.GetResponseHeadersToAdd()...)
		g.ask(&out.TypedPerFilterConfig, g.question(r, nil))
		return out
	}
	if r.Redirect != nil {
		out.Action = &routev3.Route_Redirect{Redirect: redirect(r)}
		g.ask(&out.TypedPerFilterConfig, g.question(r, nil))
		return out
	}
	action := g.action(r, out)
	if action == nil {
		g.ask(&out.TypedPerFilterConfig, g.question(r, nil))
		return g.closed(out, r, `heddle: nothing that can be called is behind route %q yet: heddle status says why`)
	}
	out.Action = &routev3.Route_Route{Route: action}
	return out
}

// target is one backend that gets requests; without a service, nobody can answer them.
type target struct {
	mesh.WeightedBackend
	service *mesh.Service
}

// action sends requests of out to the backends; nil when there is none that could answer.
func (g *gateway) action(r *mesh.Route, out *routev3.Route) *routev3.RouteAction {
	var targets []target
	var services []*mesh.Service
	for _, backend := range r.Backends {
		if backend.Weight <= 0 {
			continue
		}
		service, why := g.usable(backend.Service, backend.Subset)
		switch {
		case service != nil:
			services = append(services, service)
		case backend.Service == mesh.NoBackend:
			g.wrong(r, "a backend of the Gateway API's route leads nowhere, as the route's status says: its share of the requests is answered 500")
		default:
			g.wrong(r, "%s: requests for it are answered 503", why)
		}
		targets = append(targets, target{backend, service})
	}
	if len(services) == 0 {
		return nil
	}
	action := &routev3.RouteAction{
		Timeout: longestTimeout(r, services), IdleTimeout: longestIdle(services),
		RetryPolicy: sharedRetries(services), HashPolicy: firstHash(services),
	}
	g.spread(r, out, action, targets)
	if r.WholePath {
		rewriteWhole(action, r.Rewrite)
	} else {
		rewrite(action, r.Rewrite, r.Match)
	}
	if m := r.Mirror; m != nil {
		if service, why := g.usable(m.Service, m.Subset); service != nil {
			policy := mirrorTo(g.mirrorCluster(service, m.Subset), m.Percent)
			g.retoken(policy, service)
			action.RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{policy}
		} else {
			g.wrong(r, "%s: nothing is mirrored to it", why)
		}
	}
	return action
}

// spread shares the requests out among the backends, by weight, each of which the
// AuthZ service is asked about by its own name.
func (g *gateway) spread(r *mesh.Route, out *routev3.Route, action *routev3.RouteAction, targets []target) {
	if len(targets) == 1 {
		s, subset := targets[0].service, targets[0].Subset
		g.ask(&out.TypedPerFilterConfig, g.question(r, s))
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: g.shared(string(s.Name))}
		action.MetadataMatch = g.commonOf(s).subsets[subset]
		if host := hostFor(r, s); host != "" {
			action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
		}
		return
	}
	weighted := &routev3.WeightedCluster{}
	for _, one := range targets {
		share := &routev3.WeightedCluster_ClusterWeight{Weight: wrapperspb.UInt32(uint32(one.Weight))}
		g.ask(&share.TypedPerFilterConfig, g.question(r, one.service))
		switch {
		case one.Service == mesh.NoBackend:
			share.Name = g.emptyCluster(noBackend)
		case one.service == nil:
			share.Name = g.emptyCluster(unavailable)
		default:
			share.Name = g.shared(string(one.service.Name))
			share.MetadataMatch = g.commonOf(one.service).subsets[one.Subset]
			if host := hostFor(r, one.service); host != "" {
				share.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: host}
			}
		}
		weighted.Clusters = append(weighted.Clusters, share)
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted}
}

// hostFor is the host that a service is asked for; "": the client's.
func hostFor(r *mesh.Route, s *mesh.Service) string {
	return cmp.Or(r.RewriteHost, s.Traffic.HostHeader)
}

// longestTimeout is the route's own, or else that of the most patient of its services.
func longestTimeout(r *mesh.Route, services []*mesh.Service) *durationpb.Duration {
	longest := time.Duration(0)
	for _, s := range services {
		one := timeout(s, &mesh.RouteRule{Timeout: r.Timeout}).AsDuration()
		if one == 0 {
			return durationpb.New(0)
		}
		longest = max(longest, one)
	}
	return durationpb.New(longest)
}

func longestIdle(services []*mesh.Service) *durationpb.Duration {
	longest := time.Duration(0)
	for _, s := range services {
		longest = max(longest, or(s.Traffic.IdleTimeout, defaultIdle).AsDuration())
	}
	return durationpb.New(longest)
}

// sharedRetries are the services' own if they agree. If not, only what never
// reached a service is sent again, and nothing if one of them wants that.
func sharedRetries(services []*mesh.Service) *routev3.RetryPolicy {
	first := services[0]
	for _, s := range services {
		if retryPolicy(s, nil) == nil {
			return nil
		}
		if !reflect.DeepEqual(s.Traffic.Retries, first.Traffic.Retries) {
			first = &mesh.Service{}
		}
	}
	return retryPolicy(first, nil)
}

func firstHash(services []*mesh.Service) []*routev3.RouteAction_HashPolicy {
	for _, s := range services {
		if policy := hashPolicy(s.Traffic.LoadBalancing); policy != nil {
			return policy
		}
	}
	return nil
}

func redirect(r *mesh.Route) *routev3.RedirectAction {
	d := r.Redirect
	out := &routev3.RedirectAction{HostRedirect: domain(mesh.PlainHost(d.Host)), PortRedirect: uint32(d.Port), ResponseCode: redirectCodes()[d.Status]}
	var path routev3.RouteAction
	if !r.WholePath {
		rewrite(&path, d.Path, r.Match)
	}
	if d.Scheme != "" {
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: string(d.Scheme)}
	}
	switch {
	case d.Path == "":
	case r.WholePath, r.Match.Path.Exact != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: d.Path}
	case path.RegexRewrite != nil:
		out.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: path.RegexRewrite}
	default:
		out.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: path.PrefixRewrite}
	}
	return out
}

func redirectCodes() map[int]routev3.RedirectAction_RedirectResponseCode {
	return map[int]routev3.RedirectAction_RedirectResponseCode{
		0:   routev3.RedirectAction_FOUND,
		301: routev3.RedirectAction_MOVED_PERMANENTLY,
		302: routev3.RedirectAction_FOUND,
		303: routev3.RedirectAction_SEE_OTHER,
		307: routev3.RedirectAction_TEMPORARY_REDIRECT,
		308: routev3.RedirectAction_PERMANENT_REDIRECT,
	}
}

const rateLimitFilter = "envoy.filters.http.local_ratelimit"

func rateLimit(l *mesh.RateLimit) *ratelimitv3.LocalRateLimit {
	always := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
	return &ratelimitv3.LocalRateLimit{
		StatPrefix: "gateway",
		TokenBucket: &typev3.TokenBucket{
			MaxTokens:     uint32(max(l.Burst, l.Requests)),
			TokensPerFill: wrapperspb.UInt32(uint32(l.Requests)),
			FillInterval:  or(l.Per, time.Second),
		},
		FilterEnabled: always, FilterEnforced: always,
		ResponseHeadersToAdd: because(reasonRateLimited),
	}
}

// toHTTPS sends a client on to the same address with TLS.
func (g *gateway) toHTTPS(r *mesh.Route) *routev3.Route {
	return &routev3.Route{
		Name: string(r.Name) + ".https", Match: routeMatch(r.Match),
		Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{
			SchemeRewriteSpecifier: &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true},
			PortRedirect:           uint32(g.publicPort()),
			ResponseCode:           routev3.RedirectAction_PERMANENT_REDIRECT, // the method stays
		}},
	}
}

// publicPort is where clients reach the gateway by HTTPS.
func (g *gateway) publicPort() mesh.Port {
	at := g.scope.Proxy.Gateway
	if at.PublicPort != 0 {
		return at.PublicPort
	}
	return at.HTTPSPort
}

// altSvc tells clients of HTTP/3 (RFC 7838, RFC 9114 section 3.1.1).
func (g *gateway) altSvc() *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: "alt-svc", Value: `h3=":` + strconv.Itoa(int(g.publicPort())) + `"; ma=86400`},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
