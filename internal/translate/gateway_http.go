package translate

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	cdnloopv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cdn_loop/v3"
	headersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	healthcheckv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The reasons that only gateways give.
const (
	reasonNoRoute     = "no-route"     // no route for the host, or none of the host's matches
	reasonRefused     = "refused"      // the route says so
	reasonPath        = "path"         // the path can be read in two ways
	reasonRateLimited = "rate-limited" // the route's own limit
	reasonNoInstance  = "no-instance"  // none of the service's instances can be called
	reasonTimeout     = "timeout"      // the service took too long
)

// How long strangers may take (Envoy, "Configuring Envoy as an edge proxy").
const (
	edgeHeaders    = 10 * time.Second // to send the headers of a request
	edgeRequest    = time.Hour        // to send all of a request: uploads are slow at times
	edgeConnection = 10 * time.Minute // without a request
	edgeHeadersKiB = 60               // of one request
)

// readyPath is answered by gateways themselves, on every host: 200, and 503 once
// one is about to end.
const readyPath = "/.heddle/ready"

// edgeManager is HTTP at the edge, where nobody is to be believed.
func (g *gateway) edgeManager(stats string) *hcmv3.HttpConnectionManager {
	m := reporting(httpManager(stats), g.calls())
	m.HttpFilters = g.edgeFilters()
	// Both ways of writing a path have to meet the same rule: doubled slashes become
	// one, and a client that escapes them is sent to the plain form first.
	m.MergeSlashes = true
	m.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT
	// The client's address is the connection's, or what trusted proxies tell.
	m.UseRemoteAddress = wrapperspb.Bool(true)
	m.XffNumTrustedHops = uint32(g.scope.Proxy.Gateway.TrustedHops)
	m.PreserveExternalRequestId = false
	m.AlwaysSetRequestIdInResponse = true
	m.StripTrailingHostDot = true
	m.ServerHeaderTransformation, m.ServerName = hcmv3.HttpConnectionManager_OVERWRITE, "heddle"
	m.RequestHeadersTimeout = durationpb.New(edgeHeaders)
	m.RequestTimeout = durationpb.New(edgeRequest)
	m.MaxRequestHeadersKb = wrapperspb.UInt32(edgeHeadersKiB)
	m.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
		IdleTimeout: durationpb.New(edgeConnection),
		// A name with "_" is the same as one with "-" to many applications.
		HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
	}
	m.Http2ProtocolOptions.MaxConcurrentStreams = wrapperspb.UInt32(100)
	m.Http2ProtocolOptions.InitialStreamWindowSize = wrapperspb.UInt32(64 << 10)
	m.Http2ProtocolOptions.InitialConnectionWindowSize = wrapperspb.UInt32(1 << 20)
	nowhere := both(flagged("UH"), cel(`xds.cluster_name == "`+noBackend+`"`)) // and no refusal before it
	m.LocalReplyConfig = &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{
		explained(both(nowhere, ofGRPC()), reasonRefused, leadsNowhere), // 503 is UNAVAILABLE to gRPC, as the Gateway API asks for
		answering(500, explained(nowhere, reasonRefused, leadsNowhere)),
		explained(flagged("UH"), reasonNoInstance, "heddle: no instance behind this route can take the request now"),
		explained(flagged("UF"), reasonNoInstance, "heddle: the service behind this route cannot be reached now"),
		explained(flagged("UT"), reasonTimeout, "heddle: the service behind this route did not answer in time"),
		explained(answered(429), reasonRateLimited, "heddle: too many requests for this route: try again a little later"),
	}}
	if g.asks() {
		m.LocalReplyConfig.Mappers = append(m.LocalReplyConfig.Mappers, unanswered())
	}
	return m
}

// edgeFilters are what a request passes, in order. Who the client is, and what it
// may do, is asked behind the rate limit: what is cheap comes first.
func (g *gateway) edgeFilters() []*hcmv3.HttpFilter {
	filters := []*hcmv3.HttpFilter{
		// Whether load balancers before the gateway are to send it anything.
		httpFilter("envoy.filters.http.health_check", &healthcheckv3.HealthCheck{
			PassThroughMode: wrapperspb.Bool(false), Headers: []*routev3.HeaderMatcher{exactHeader(":path", readyPath)},
		}),
		// RFC 8586: a request that has been here before goes in circles.
		httpFilter("envoy.filters.http.cdn_loop", &cdnloopv3.CdnLoopConfig{CdnId: string(g.name) + ".gateway.heddle"}),
		httpFilter("envoy.filters.http.header_mutation", &headersv3.HeaderMutation{
			Mutations: &headersv3.Mutations{RequestMutations: g.stripped()},
		}),
		httpFilter(rateLimitFilter, &ratelimitv3.LocalRateLimit{StatPrefix: "gateway"}), // routes switch it on
	}
	if g.asks() {
		filters = append(filters, askingAtEdge())
	}
	return append(filters, httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true}))
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}}
}

// stripped are the headers that applications and sidecars believe, and that
// nobody outside may set.
func (g *gateway) stripped() []*mutationv3.HeaderMutation {
	var out []*mutationv3.HeaderMutation
	for _, prefix := range []string{"x-heddle-", "x-envoy-"} {
		out = append(out, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
			RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}, IgnoreCase: true,
			}},
		}})
	}
	names := []string{
		"x-original-url", "x-rewrite-url", // take the place of the path in some frameworks
		"x-http-method-override", "x-http-method", "x-method-override", // and these that of the method
		"cf-access-authenticated-user-email", // Cloudflare writes it beside its token, and nothing signs it
	}
	if g.scope.Proxy.Gateway.TrustedHops == 0 {
		names = append(names, "forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-real-ip")
	}
	for _, name := range names {
		out = append(out, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}})
	}
	return out
}

// flagged are Envoy's own answers with a response flag.
func flagged(flag string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{flag}},
	}}
}

const leadsNowhere = "heddle: a backend of this route leads nowhere: the route's status says why"

// ofGRPC are answers to gRPC's requests.
func ofGRPC() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{
		Header: &routev3.HeaderMatcher{Name: "content-type", HeaderMatchSpecifier: stringMatch(&matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "application/grpc"},
		})},
	}}}
}

// answering gives one of Envoy's own answers another status.
func answering(status uint32, m *hcmv3.ResponseMapper) *hcmv3.ResponseMapper {
	m.StatusCode = wrapperspb.UInt32(status)
	return m
}

// answered are Envoy's own answers with a status.
func answered(status uint32) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslogv3.StatusCodeFilter{Comparison: &accesslogv3.ComparisonFilter{
			Op:    accesslogv3.ComparisonFilter_EQ,
			Value: &corev3.RuntimeUInt32{DefaultValue: status, RuntimeKey: "heddle.unused"},
		}},
	}}
}

// explained gives some of Envoy's own answers words that a client understands.
func explained(which *accesslogv3.AccessLogFilter, reason, text string) *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter:       which,
		HeadersToAdd: because(reason),
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: text + "\n"},
			}},
			ContentType: "text/plain; charset=utf-8",
		},
	}
}
