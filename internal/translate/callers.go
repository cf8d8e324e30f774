package translate

import (
	"slices"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The reasons that only sidecars of called services give.
const (
	reasonToken  = "token"  // the call has no token that is valid here
	reasonCaller = "caller" // who calls is not one of those who may
)

const (
	jwtFilter = "envoy.filters.http.jwt_authn"
	// meshProvider names the one issuer of tokens; claims is where what a valid one
	// says is kept for the filters behind.
	meshProvider = "heddle"
	claims       = "claims"
	// tokensKept is how many tokens each worker of a sidecar does not verify again: one of each
	// caller, and one of each user behind a gateway.
	tokensKept = 1000
	// healthPolicy is no caller's name: those have no spaces.
	healthPolicy = "health check"
)

// caller is one of those who may call the proxy's service.
type caller struct {
	name string // as in [mesh.Access]
	id   string // SPIFFE ID
}

// callers are those who have declared the service, and the gateways with a route
// to it, if its owner lets them; sorted. A route on every gateway gives anyGateway. So
// does having no route where there are tokens: the AuthZ service gives gateways none
// then, and a first route, or a last one, costs no request while some sidecar has not
// heard of it.
func (b *builder) callers(withTokens bool) (list []caller, anyGateway bool) {
	s := b.own
	for _, name := range b.view.Dependents(s.Name) {
		if s.Access.Admits(string(name)) {
			list = append(list, caller{string(name), b.trust.serviceID(name)})
		}
	}
	admit := func(gateways []mesh.ServiceName) {
		if len(gateways) == 0 { // all of them; which there are nobody declares
			anyGateway = s.Access.Callers != mesh.ApprovedCallers
			for _, name := range s.Access.Approved {
				if gateway, is := strings.CutPrefix(name, mesh.GatewayCaller("")); is {
					gateways = append(gateways, mesh.ServiceName(gateway))
				}
			}
		}
		for _, gateway := range gateways {
			if name := mesh.GatewayCaller(gateway); s.Access.Admits(name) {
				list = append(list, caller{name, b.trust.gatewayID(gateway)})
			}
		}
	}
	routes := b.view.RoutesTo(s.Name)
	for _, route := range routes {
		admit(route.Gateways)
	}
	if withTokens && len(routes) == 0 {
		admit(nil)
	}
	slices.SortFunc(list, func(a, b caller) int { return strings.Compare(a.name, b.name) })
	return slices.Compact(list), anyGateway
}

// checks are the filters by which a sidecar finds out whether a call with mutual
// TLS is allowed: a token for this service, and a caller who may have it. What
// they go by are resources of their own, so that no listener changes, and no
// connection ends, when a key is replaced or somebody declares the service.
func (b *builder) checks() []*hcmv3.HttpFilter {
	callers := "callers." + string(b.own.Name)
	b.extension(callers, b.httpCallers(callers), b.callersOrigin())
	filters := []*hcmv3.HttpFilter{discovered(callers, &httprbacv3.RBAC{})}
	token := "token." + string(b.own.Name)
	if keys := b.view.TokenKeys(); keys != nil {
		b.extension(token, b.tokens(keys), Origin{Object: "the AuthZ service's keys", Author: keys.Meta.Author, Revision: keys.Meta.Revision})
		filters = slices.Insert(filters, 0, discovered(token, &jwtv3.JwtAuthentication{}))
	} else {
		// Connections from before the keys were withdrawn still pass the filter, and
		// without its configuration Envoy answers 500 on them.
		b.extension(token, &jwtv3.JwtAuthentication{}, Origin{Object: "the AuthZ service's keys"})
	}
	return filters
}

// extension makes the configuration of a filter, which its listener asks for by name.
func (b *builder) extension(name string, config proto.Message, origin Origin) {
	b.add(TypeExtension, name, &corev3.TypedExtensionConfig{Name: name, TypedConfig: pack(config)}, origin)
}

func extensionOverADS(kind proto.Message) *corev3.ExtensionConfigSource {
	return &corev3.ExtensionConfigSource{ConfigSource: overADS(), TypeUrls: []string{pack(kind).GetTypeUrl()}}
}

func discovered(name string, kind proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: extensionOverADS(kind)}}
}

// callersOrigin is the newest of what says who may call.
func (b *builder) callersOrigin() Origin {
	from := []*mesh.Service{b.own}
	for _, name := range b.view.Dependents(b.own.Name) {
		if s, declared := b.view.Service(name); declared {
			from = append(from, s)
		}
	}
	origin := newest(from...)
	for _, r := range b.view.RoutesTo(b.own.Name) {
		if r.Meta.Revision > origin.Revision {
			origin = Origin{Object: routeObject(r), Author: r.Meta.Author, Revision: r.Meta.Revision}
		}
	}
	return origin
}

// enforced says whether what is not allowed is refused, and not only counted.
func enforced(s *mesh.Service) bool {
	return s.Access.Enforcement == "" || s.Access.Enforcement == mesh.Deny
}

// tokens checks the token of each call. One that is not valid is refused on every
// rung of the ladder: nobody sends that by mistake.
func (b *builder) tokens(keys *mesh.TokenKeys) *jwtv3.JwtAuthentication {
	valid := &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_ProviderName{ProviderName: meshProvider}}
	validOrNone := &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_RequiresAny{RequiresAny: &jwtv3.JwtRequirementOrList{
		Requirements: []*jwtv3.JwtRequirement{valid, {RequiresType: &jwtv3.JwtRequirement_AllowMissing{AllowMissing: &emptypb.Empty{}}}},
	}}}
	rule := func(match *routev3.RouteMatch, requires *jwtv3.JwtRequirement) *jwtv3.RequirementRule {
		return &jwtv3.RequirementRule{Match: match, RequirementType: &jwtv3.RequirementRule_Requires{Requires: requires}}
	}
	var rules []*jwtv3.RequirementRule
	for _, one := range healthRequests(b.own) {
		rules = append(rules, rule(&routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_Path{Path: one.path}, Headers: []*routev3.HeaderMatcher{exactHeader(":method", one.method)},
		}, validOrNone))
	}
	all := valid
	if !enforced(b.own) {
		all = validOrNone
	}
	rules = append(rules, rule(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}, all))
	return &jwtv3.JwtAuthentication{
		Providers: map[string]*jwtv3.JwtProvider{meshProvider: {
			Issuer:              keys.Issuer,
			Audiences:           []string{b.trust.serviceID(b.own.Name)},
			RequireExpiration:   true,
			JwksSourceSpecifier: &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: string(keys.JWKS)}}},
			FromHeaders:         []*jwtv3.JwtHeader{{Name: tokenHeader}},
			Forward:             true, // the application may want to know who calls, and for which user
			PayloadInMetadata:   claims,
			// A verified token is kept with the configuration, and so ends with its key: new
			// keys are a new configuration.
			JwtCacheConfig: &jwtv3.JwtCacheConfig{JwtCacheSize: tokensKept},
		}},
		Rules: rules,
	}
}

// healthRequest is how callers' sidecars ask whether a service is well.
type healthRequest struct{ method, path string }

// healthRequests are the requests that callers' sidecars make by themselves, and so
// without a token; none if they do not.
func healthRequests(s *mesh.Service) []healthRequest {
	if s.HealthCheck == nil {
		return nil
	}
	switch s.HealthCheck.Type {
	case mesh.CheckTCP:
		return nil
	case mesh.CheckGRPC:
		return []healthRequest{{"POST", "/grpc.health.v1.Health/Check"}}
	}
	return []healthRequest{{"GET", httpCheck(s).GetPath()}}
}

// httpCallers admits who may call: the caller that the certificate names, who is
// also the one that the token was given to. A stolen token is of no use.
func (b *builder) httpCallers(stats string) *httprbacv3.RBAC {
	withTokens := b.view.TokenKeys() != nil
	list, anyGateway := b.callers(withTokens)
	if len(list) >= manyCallers {
		tree := b.callerTree(list, anyGateway, withTokens)
		if enforced(b.own) {
			return &httprbacv3.RBAC{Matcher: tree, RulesStatPrefix: stats + "."}
		}
		return &httprbacv3.RBAC{ShadowMatcher: tree, ShadowRulesStatPrefix: stats + "."}
	}
	rules := b.rules(list, anyGateway, withTokens)
	if enforced(b.own) {
		return &httprbacv3.RBAC{Rules: rules, RulesStatPrefix: stats + "."}
	}
	return &httprbacv3.RBAC{ShadowRules: rules, ShadowRulesStatPrefix: stats + "."}
}

// tcpCallers is the same for connections, which have no tokens.
func (b *builder) tcpCallers(stats string) *netrbacv3.RBAC {
	list, anyGateway := b.callers(false) // looked at once for each connection: there may be many
	rules := b.rules(list, anyGateway, false)
	if enforced(b.own) {
		return &netrbacv3.RBAC{Rules: rules, StatPrefix: stats + "."}
	}
	return &netrbacv3.RBAC{ShadowRules: rules, StatPrefix: stats + "."}
}

// tcpCheck is the filter before a service that speaks TCP.
func (b *builder) tcpCheck() *listenerv3.Filter {
	name := "callers." + string(b.own.Name)
	b.extension(name, b.tcpCallers(name), b.callersOrigin())
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_ConfigDiscovery{ConfigDiscovery: extensionOverADS(&netrbacv3.RBAC{})}}
}

func (b *builder) rules(list []caller, anyGateway, withTokens bool) *rbacv3.RBAC {
	rules := &rbacv3.RBAC{Action: rbacv3.RBAC_ALLOW, Policies: map[string]*rbacv3.Policy{}}
	peers := &rbacv3.Principal_Set{}
	admit := func(name string, id *matcherv3.StringMatcher) {
		principal := authenticated(id)
		peers.Ids = append(peers.Ids, principal)
		if withTokens {
			principal = &rbacv3.Principal{Identifier: &rbacv3.Principal_AndIds{AndIds: &rbacv3.Principal_Set{Ids: []*rbacv3.Principal{principal, tokenOf(id)}}}}
		}
		rules.Policies[name] = &rbacv3.Policy{
			Permissions: []*rbacv3.Permission{{Rule: &rbacv3.Permission_Any{Any: true}}}, Principals: []*rbacv3.Principal{principal},
		}
	}
	for _, one := range list {
		admit(one.name, exactly(one.id))
	}
	if anyGateway {
		admit(mesh.GatewayCaller("*"), &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: b.trust.gatewayID("")}})
	}
	if withTokens && len(peers.Ids) > 0 {
		for _, one := range healthRequests(b.own) {
			rules.Policies[healthPolicy] = &rbacv3.Policy{
				Permissions: []*rbacv3.Permission{{Rule: &rbacv3.Permission_AndRules{AndRules: &rbacv3.Permission_Set{Rules: []*rbacv3.Permission{
					{Rule: &rbacv3.Permission_UrlPath{UrlPath: &matcherv3.PathMatcher{Rule: &matcherv3.PathMatcher_Path{Path: exactly(one.path)}}}},
					{Rule: &rbacv3.Permission_Header{Header: exactHeader(":method", one.method)}},
				}}}}},
				Principals: []*rbacv3.Principal{{Identifier: &rbacv3.Principal_OrIds{OrIds: peers}}},
			}
		}
	}
	return rules
}

func authenticated(id *matcherv3.StringMatcher) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Authenticated_{Authenticated: &rbacv3.Principal_Authenticated{PrincipalName: id}}}
}

// tokenOf is a token that was given to the one with the ID.
func tokenOf(id *matcherv3.StringMatcher) *rbacv3.Principal {
	key := func(name string) *matcherv3.MetadataMatcher_PathSegment {
		return &matcherv3.MetadataMatcher_PathSegment{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: name}}
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_SourcedMetadata{SourcedMetadata: &rbacv3.SourcedMetadata{
		MetadataMatcher: &matcherv3.MetadataMatcher{
			Filter: jwtFilter, Path: []*matcherv3.MetadataMatcher_PathSegment{key(claims), key("sub")},
			Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: id}},
		},
	}}}
}

// refusedHere gives the sidecar's own refusals words that a caller understands.
func refusedHere(s *mesh.Service) []*hcmv3.ResponseMapper {
	who := `the caller is "%DOWNSTREAM_PEER_URI_SAN%"`
	return []*hcmv3.ResponseMapper{
		explained(detailed("jwt_authn_access_denied"), reasonToken, `heddle: service "`+string(s.Name)+`" takes calls with a token of the mesh's AuthZ service for it, which the caller's sidecar adds; `+who),
		explained(detailed("rbac_access_denied"), reasonCaller, `heddle: service "`+string(s.Name)+`" takes calls by those who have declared it, with their own token; `+who),
	}
}

// detailed are Envoy's own answers whose details begin with a text.
func detailed(prefix string) *accesslogv3.AccessLogFilter {
	return cel(`response.code_details.startsWith("` + prefix + `")`)
}

// cel is what fits an expression.
func cel(expression string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{ExtensionFilter: &accesslogv3.ExtensionFilter{
		Name:       "envoy.access_loggers.extension_filters.cel",
		ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: pack(&celv3.ExpressionFilter{Expression: expression})},
	}}}
}

// both are Envoy's answers that fit two filters.
func both(one, other *accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
		AndFilter: &accesslogv3.AndFilter{Filters: []*accesslogv3.AccessLogFilter{one, other}},
	}}
}

func exactly(text string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: text}}
}

func yes() *wrapperspb.BoolValue { return wrapperspb.Bool(true) }
