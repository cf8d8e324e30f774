package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	injectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// reasonNoToken: there is no token for the call, which is therefore not made.
const reasonNoToken = "no-token"

// firstToken is how long a new cluster waits for its token before it takes requests.
const firstToken = 2 * time.Second

// inject has each request to a service behind sidecars go out with the token that the
// proxy was handed, whatever the application put there. Without one it does not go
// out, unless the service's owner lets such calls pass.
func (b *builder) inject(c *clusterv3.Cluster, s *mesh.Service) {
	options := &httpv3.HttpProtocolOptions{}
	packed := c.GetTypedExtensionProtocolOptions()[httpOptions]
	if !b.pushed() || !b.trust.behindSidecars(s) || packed.UnmarshalTo(options) != nil {
		return
	}
	token := &genericv3.Generic{Header: tokenHeader, Credential: &tlsv3.SdsSecretConfig{
		Name: mesh.TokenSecret(s.Name),
		SdsConfig: &corev3.ConfigSource{
			ResourceApiVersion:  corev3.ApiVersion_V3,
			InitialFetchTimeout: durationpb.New(firstToken),
			ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
				ApiType: corev3.ApiConfigSource_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
				GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: mesh.TokenCluster},
				}}},
			}},
		},
	}}
	options.HttpFilters = []*hcmv3.HttpFilter{
		httpFilter("envoy.filters.http.credential_injector", &injectorv3.CredentialInjector{
			Overwrite:                     true,
			AllowRequestWithoutCredential: !enforced(s),
			Credential:                    &corev3.TypedExtensionConfig{Name: "envoy.http.injected_credentials.generic", TypedConfig: pack(token)},
		}),
		httpFilter("envoy.filters.http.upstream_codec", &codecv3.UpstreamCodec{}),
	}
	c.TypedExtensionProtocolOptions[httpOptions] = pack(options)
}

// untokened gives the requests that were refused for want of a token words.
func untokened() *hcmv3.ResponseMapper {
	return explained(both(detailed("failed_to_inject_credential"), answered(401)), reasonNoToken, "heddle: this sidecar has no token for the call: the AuthZ service refuses it, as the sidecar's log says, or cannot be reached")
}
