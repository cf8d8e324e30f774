package proxy

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// Identity says which files hold the workload's certificate and the roots to
// trust, and who the control plane is.
type Identity struct {
	ServerID string // SPIFFE ID of the control plane

	// For Envoy: SDS files, and the names of the secrets in them. They stay as they
	// are; what they name is replaced, by renaming something in Dir. Dir has a link
	// to itself, mesh.IdentityFolder, so that an Envoy that runs there finds the
	// identity by the same path as one that runs in a folder with a link to Dir.
	Dir                              string
	CertSecret, BundleSecret         string // paths
	CertSecretName, BundleSecretName string

	// For gRPC libraries: PEM files, replaced likewise.
	Cert, Key, Bundle string
}

// socket has Envoy show the certificate and know the control plane by its
// identity. New files are taken up as they come; open connections stay.
func (i *Identity) socket() (*corev3.TransportSocket, error) {
	secret := func(name, path string) *tlsv3.SdsSecretConfig {
		return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
			ResourceApiVersion: corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
				Path: path, WatchedDirectory: &corev3.WatchedDirectory{Path: i.Dir},
			}},
		}}
	}
	onlyServer := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
		SanType: tlsv3.SubjectAltNameMatcher_URI,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: i.ServerID}},
	}}}
	typed, err := anypb.New(&tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		AlpnProtocols:                  []string{"h2"},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secret(i.CertSecretName, i.CertSecret)},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         onlyServer,
			ValidationContextSdsSecretConfig: secret(i.BundleSecretName, i.BundleSecret),
		}},
	}})
	if err != nil {
		return nil, fmt.Errorf("make the TLS settings of the control plane: %w", err)
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed},
	}, nil
}
