package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const hcmFilter = "envoy.filters.network.http_connection_manager"

// defaultIdle ends a stream without a byte, unless the service declares another.
const defaultIdle = 5 * time.Minute

// reasonHeader tells why a sidecar answered itself; its values follow.
const (
	reasonHeader     = "x-heddle-reason"
	reasonUndeclared = "undeclared" // the caller has not declared a dependency on the host
	reasonUnknown    = "unknown"    // no host of the fleet runs it, or this one does not serve it
	reasonPending    = "pending"    // declared, but no such service is
	reasonUnreadable = "unreadable" // declared, and such a service is stored, but cannot be read
	reasonNoHost     = "no-host"    // the request names no host
	reasonTCP        = "tcp"        // declared, but not reachable by host name
	// reasonUnreached says that the called service's sidecar could not connect to
	// the application, so that the caller's may try another instance safely.
	reasonUnreached = "unreached"
)

// httpManager is what inbound and outbound HTTP have in common.
func httpManager(statPrefix string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		CodecType:  hcmv3.HttpConnectionManager_AUTO, // HTTP/1.1 and HTTP/2 on one port
		StatPrefix: statPrefix,
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       "envoy.filters.http.router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})},
		}},
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		// nginx speaks HTTP/1.0 to what is behind it unless told; Envoy would answer 426.
		HttpProtocolOptions:  &corev3.Http1ProtocolOptions{AcceptHttp_10: true},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{AllowConnect: true}, // WebSocket over HTTP/2 (RFC 8441)
		StreamIdleTimeout:    durationpb.New(defaultIdle),
		// A path such as /public/../admin must not get past a rule on /admin. Slashes
		// that are doubled or escaped stay as they are: they mean something to those who
		// put keys and addresses into paths, and rules only choose among instances.
		NormalizePath: wrapperspb.Bool(true),
		// InternalAddressConfig is left out on purpose. Then Envoy trusts nobody's
		// x-envoy-* headers, which overrule timeouts and retries; given, even empty, it
		// trusts whoever claims a private address in X-Forwarded-For.
		// One request keeps its X-Request-Id from sidecar to sidecar.
		PreserveExternalRequestId:  true,
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
	}
}

// withRoutes has the manager ask for its routes by name.
func withRoutes(m *hcmv3.HttpConnectionManager, name string) *hcmv3.HttpConnectionManager {
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: overADS(), RouteConfigName: name}}
	return m
}

// because puts the reason for an answer of the sidecar's own into its headers.
func because(reason string) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{
		Header:       &corev3.HeaderValue{Key: reasonHeader, Value: reason},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}

// refusal answers every request of a virtual host with a text, in which
// Envoy's substitutions hold.
func refusal(status uint32, reason, format string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: status,
			BodyFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
					Specifier: &corev3.DataSource_InlineString{InlineString: format + "\n"},
				}},
				ContentType: "text/plain; charset=utf-8",
			},
		}},
		ResponseHeadersToAdd: because(reason),
	}
}
