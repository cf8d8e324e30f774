package translate

import (
	"fmt"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// askingAtEdge is asking with the headers that users' tokens may be in. They are told
// whichever routes there are, so that no listener changes with a route.
func askingAtEdge() *hcmv3.HttpFilter {
	return asking(exactly("cf-access-jwt-assertion"), exactly("cookie"), exactly("authorization"))
}

// question is what the AuthZ service is asked about the requests of a route for a
// service; nil stands for what the gateway answers itself. A backend outside the
// mesh gets no token, and its users are asked for theirs all the same.
func (g *gateway) question(r *mesh.Route, s *mesh.Service) *extauthzv3.ExtAuthzPerRoute {
	q := g.callee(s)
	about := q.GetCheckSettings().GetContextExtensions()
	if r.Auth != nil {
		if about == nil {
			about = map[string]string{}
			q.Override = &extauthzv3.ExtAuthzPerRoute_CheckSettings{CheckSettings: &extauthzv3.CheckSettings{ContextExtensions: about}}
		}
		about["provider"] = r.Auth.Provider
		if r.Auth.Audience != "" {
			about["audience"] = r.Auth.Audience
		}
	}
	if about != nil && r.Mirror != nil {
		about["mirror"] = string(r.Mirror.Service)
	}
	return q
}

// ask has the requests of a route, or of a share of one, ask the AuthZ service. One
// that is passed over is refused there, for it does not say what it calls.
func (g *gateway) ask(config *map[string]*anypb.Any, q *extauthzv3.ExtAuthzPerRoute) {
	if !g.asks() {
		return
	}
	if *config == nil {
		*config = map[string]*anypb.Any{}
	}
	(*config)[authzFilter] = pack(q)
}

// unasked answers by itself, whoever comes.
func (g *gateway) unasked(r *routev3.Route) *routev3.Route {
	g.ask(&r.TypedPerFilterConfig, g.callee(nil))
	return r
}

// unaskable says why a route that wants users cannot be served, or "".
func (g *gateway) unaskable(r *mesh.Route) string {
	switch {
	case r.Auth == nil || g.asks():
		return ""
	case !g.secure():
		return "the route has auth, and the gateway has no identity with which it could ask the AuthZ service (heddle proxy --identity-dir)"
	default:
		return "the route has auth, and no AuthZ service runs yet (heddle authz, heddle server --authz-listen)"
	}
}

// closed answers 503 for a route.
func (g *gateway) closed(out *routev3.Route, r *mesh.Route, format string) *routev3.Route {
	refused := refusal(503, reasonPending, fmt.Sprintf(format, r.Name))
	out.Action, out.ResponseHeadersToAdd = refused.GetAction(), refused.GetResponseHeadersToAdd()
	return out
}

// retoken gives a copy its own token, which the AuthZ service made beside the one of
// the request: that one is for another service.
func (g *gateway) retoken(policy *routev3.RouteAction_RequestMirrorPolicy, s *mesh.Service) {
	if !g.asks() {
		return
	}
	policy.RequestHeadersMutations = []*mutationv3.HeaderMutation{{Action: &mutationv3.HeaderMutation_Remove{Remove: tokenHeader}}}
	if g.trust.behindSidecars(s) {
		policy.RequestHeadersMutations = append(policy.RequestHeadersMutations, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{
			Append: &corev3.HeaderValueOption{
				Header:       &corev3.HeaderValue{Key: tokenHeader, Value: "%DYNAMIC_METADATA(" + authzFilter + ":mirror-token)%"},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			},
		}})
	}
}
