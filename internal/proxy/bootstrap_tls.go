package proxy

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Identity says which files hold the workload's certificate and the roots to
// trust, and who the control plane is.
type Identity struct {
	ServerID string // SPIFFE ID of the control plane

	// For Envoy: the folder with the SDS files mesh.IdentityFile and mesh.RootsFile.
	// They stay as they are; what they name is replaced, by renaming something there.
	// It has a link to itself, mesh.IdentityFolder, so that an Envoy that runs there
	// finds the identity by the same path as one that runs in a folder with a link to it.
	Dir string

	// For gRPC libraries: PEM files, replaced likewise.
	Cert, Key, Bundle string
}

// socket has Envoy show the certificate and know the control plane by its
// identity. New files are taken up as they come; open connections stay. The secrets
// are the ones that the control plane names in what it sends: Envoy watches the
// files of each source once, and what it may watch is scarce.
func (i *Identity) socket() (*corev3.TransportSocket, error) {
	secret := func(name, file string) *tlsv3.SdsSecretConfig {
		return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
			ResourceApiVersion: corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
				Path: mesh.IdentityFolder + "/" + file, WatchedDirectory: &corev3.WatchedDirectory{Path: mesh.IdentityFolder},
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
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secret(mesh.IdentitySecret, mesh.IdentityFile)},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         onlyServer,
			ValidationContextSdsSecretConfig: secret(mesh.RootsSecret, mesh.RootsFile),
		}},
	}})
	if err != nil {
		return nil, fmt.Errorf("make the TLS settings of the control plane: %w", err)
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed},
	}, nil
}
