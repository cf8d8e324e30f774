package translate

import (
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// authorizers is the cluster of the AuthZ services.
	authorizers    = "heddle.authz"
	authzFilter    = "envoy.filters.http.ext_authz"
	tokenHeader    = "x-heddle-token"
	reasonNoAnswer = "no-authorizer" // the AuthZ service did not answer
)

// How long a request waits for its token, and for each service that it asks. The
// AuthZ service answers within a millisecond from its cache; a signature by an RSA
// key of 4096 bits takes some ten of them, and Redis is given 50. One that says
// nothing hangs: another is asked.
const (
	authzTimeout    = 2 * time.Second
	authzTryTimeout = authzTimeout / 2 // of one that is slow an answer late is better than none
	authzRetries    = 2
)

// asks says whether the proxy asks for tokens: there is an AuthZ service in the
// mesh, and the proxy can prove to it who it is.
func (b *builder) asks() bool { return b.secure() && b.view.TokenKeys() != nil }

// pushed says whether the proxy is handed its tokens, and so asks nobody.
func (b *builder) pushed() bool {
	return b.asks() && b.scope.Proxy.TokenDelivery == mesh.PushTokens
}

// authorizer makes the cluster of the AuthZ services and their endpoints.
func (b *builder) authorizer() {
	if !b.asks() || b.pushed() {
		return
	}
	origin := Origin{Object: "the AuthZ service"}
	b.add(TypeCluster, authorizers, &clusterv3.Cluster{
		Name:                 authorizers,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS()},
		ConnectTimeout:       durationpb.New(defaultConnectTimeout),
		LbPolicy:             clusterv3.Cluster_LEAST_REQUEST,
		TransportSocket:      toPeer([]string{"h2"}, b.trust.authorizerIDs()...),
		// How many requests there are is the application's to say.
		CircuitBreakers: unlimited(),
		// One to which no connection can be made is left out for a moment.
		OutlierDetection: &clusterv3.OutlierDetection{
			SplitExternalLocalOriginErrors:     true,
			ConsecutiveLocalOriginFailure:      wrapperspb.UInt32(2),
			EnforcingLocalOriginSuccessRate:    wrapperspb.UInt32(0),
			EnforcingConsecutive_5Xx:           wrapperspb.UInt32(0),
			EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
			EnforcingSuccessRate:               wrapperspb.UInt32(0),
			Interval:                           durationpb.New(time.Second),
			BaseEjectionTime:                   durationpb.New(5 * time.Second),
			MaxEjectionPercent:                 wrapperspb.UInt32(99), // one always stays in, to be tried
		},
		IgnoreHealthOnHostRemoval: true,
		CommonLbConfig:            &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}},
		TypedExtensionProtocolOptions: protocolOptions(mesh.GRPC, idleToSidecar,
			&corev3.KeepaliveSettings{Interval: durationpb.New(10 * time.Second), Timeout: durationpb.New(2 * time.Second)}),
	}, origin)
	group := &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{}}
	for _, a := range b.view.Authorizers() {
		group.LbEndpoints = append(group.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(a.Address, a.Port)}},
		})
	}
	b.add(TypeEndpoint, authorizers, &endpointv3.ClusterLoadAssignment{
		ClusterName: authorizers, Endpoints: []*endpointv3.LocalityLbEndpoints{group},
	}, origin)
}

func unlimited() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: wrapperspb.UInt32(appLimit), MaxPendingRequests: wrapperspb.UInt32(appLimit),
		MaxRequests: wrapperspb.UInt32(appLimit), MaxRetries: wrapperspb.UInt32(appLimit),
	}}}
}

// asking has every request of a manager ask the AuthZ service first, which puts a
// token in the place of any that the application sent. headers are those of the
// request that it is told. Without an answer the request is refused.
func asking(headers ...*matcherv3.StringMatcher) *hcmv3.HttpFilter {
	return httpFilter(authzFilter, &extauthzv3.ExtAuthz{
		TransportApiVersion: corev3.ApiVersion_V3,
		Services: &extauthzv3.ExtAuthz_GrpcService{GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: authorizers}},
			Timeout:         durationpb.New(authzTimeout),
			// One that is going away, gone or hangs says nothing about the request.
			RetryPolicy: &corev3.RetryPolicy{RetryOn: "connect-failure,refused-stream,reset-before-request,unavailable,gateway-error", NumRetries: wrapperspb.UInt32(authzRetries)},
			// The policy has no field for it; Envoy's router takes the header, and
			// sends it to nobody.
			InitialMetadata: []*corev3.HeaderValue{{Key: "x-envoy-upstream-rq-per-try-timeout-ms", Value: strconv.FormatInt(authzTryTimeout.Milliseconds(), 10)}},
		}},
		StatusOnError:  &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		AllowedHeaders: &matcherv3.ListStringMatcher{Patterns: append([]*matcherv3.StringMatcher{exactly("x-request-id")}, headers...)},
	})
}

// unanswered gives the requests that were refused for want of an answer words.
func unanswered() *hcmv3.ResponseMapper {
	return explained(both(flagged("UAEX"), answered(503)), reasonNoAnswer, "heddle: no AuthZ service could be asked whether this call is allowed; try again")
}

// authorized has the requests of a virtual host ask the AuthZ service about their
// callee. About nil it is not asked: that is what the sidecar answers itself. About
// what leaves the mesh neither: outside, a token is of no use.
func (b *builder) authorized(host *routev3.VirtualHost, s *mesh.Service) *routev3.VirtualHost {
	if !b.asks() {
		return host
	}
	if b.pushed() { // its own token comes later, in the cluster
		host.RequestHeadersToRemove = []string{tokenHeader}
		return host
	}
	host.TypedPerFilterConfig = map[string]*anypb.Any{authzFilter: pack(b.callee(s))}
	if s == nil || !b.trust.behindSidecars(s) {
		host.RequestHeadersToRemove = []string{tokenHeader}
	}
	return host
}

// callee is what the AuthZ service is asked, and whether it is.
func (b *builder) callee(s *mesh.Service) *extauthzv3.ExtAuthzPerRoute {
	if s == nil || !b.trust.behindSidecars(s) {
		return &extauthzv3.ExtAuthzPerRoute{Override: &extauthzv3.ExtAuthzPerRoute_Disabled{Disabled: true}}
	}
	return &extauthzv3.ExtAuthzPerRoute{Override: &extauthzv3.ExtAuthzPerRoute_CheckSettings{CheckSettings: &extauthzv3.CheckSettings{
		ContextExtensions: map[string]string{"callee": string(s.Name)},
	}}}
}
