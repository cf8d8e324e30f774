package translate

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Trust is how the proxies of a mesh know each other: by certificates of one
// authority, each with the SPIFFE ID of a service or a gateway. And whether they
// tell the control plane what they saw of calls.
type Trust struct {
	Domain string    // the trust domain of the SPIFFE IDs
	Roots  []byte    // PEM: the authority's root certificates; nil: there are no identities
	MTLS   mesh.MTLS // of services that do not say; "" is permissive

	Telemetry Telemetry // what the proxies tell of their requests
	Reports   bool      // proxies report to the access log service of their control plane

	// Unacknowledged ends a connection to an instance whose machine does not acknowledge
	// what was sent for so long: it is gone without a word. Its proxies run on Linux. 0:
	// the kernel sends again for a quarter of an hour.
	Unacknowledged time.Duration
}

const (
	// meshTrust is the secret of the roots that peers are verified by.
	meshTrust = "trust.mesh"
	// meshALPN is offered by sidecars of the mesh, beside the protocol that they
	// speak, so that a permissive listener knows them from applications with TLS of
	// their own.
	meshALPN = "heddle"
	// socketMatch is the endpoint metadata that Envoy chooses a transport socket by.
	socketMatch = "envoy.transport_socket_match"
	takesMTLS   = "mtls"
)

func (t *Trust) serviceID(name mesh.ServiceName) string {
	return "spiffe://" + t.Domain + "/service/" + string(name)
}

func (t *Trust) gatewayID(name mesh.ServiceName) string {
	return "spiffe://" + t.Domain + "/gateway/" + string(name)
}

// authorizerIDs are the two that an AuthZ service may have: its own, or that of
// the server that it is part of.
func (t *Trust) authorizerIDs() []string {
	return []string{"spiffe://" + t.Domain + "/heddle/authz", "spiffe://" + t.Domain + "/heddle/server"}
}

// strict says whether a service takes nothing but mutual TLS. Where there are no
// identities, one that says so takes nothing.
func (t *Trust) strict(s *mesh.Service) bool {
	return s.Access.MTLS == mesh.Strict || s.Access.MTLS == "" && t.MTLS == mesh.Strict
}

// behindSidecars says whether a service's instances are part of the mesh, each
// behind a sidecar: only those can take mutual TLS and check tokens. Of pods that are
// found by DNS nobody says which have one, so all are taken to have it if the service
// takes nothing but mutual TLS, and none otherwise.
func (t *Trust) behindSidecars(s *mesh.Service) bool {
	byDNS := s.Endpoints.Kubernetes != nil && s.Resolved() != nil
	return (s.Endpoints.Registered() || byDNS && t.strict(s)) && s.Traffic.TLS == nil
}

// secure says whether the proxy has an identity, and others with it know it.
func (b *builder) secure() bool { return b.trust.Roots != nil && b.scope.Proxy.Identity }

// shared names a resource that scopes share. Proxies without an identity, in a
// mesh with identities, have others than those with one, and so have those that are
// handed their tokens.
func (b *builder) shared(name string) string {
	switch {
	case b.pushed():
		return "push." + name
	case b.trust.Roots == nil || b.secure():
		return name
	}
	return "plain." + name
}

// trusted makes the secret of the roots.
func (b *builder) trusted() {
	if !b.secure() {
		return
	}
	b.add(TypeSecret, meshTrust, &tlsv3.Secret{Name: meshTrust, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b.trust.Roots},
		}},
	}}, Origin{Object: "the certificate authority"})
}

// peerTLS is TLS with the proxy's certificate, to peers of the mesh alone.
func peerTLS(alpn []string, peers ...*matcherv3.StringMatcher) *tlsv3.CommonTlsContext {
	names := make([]*tlsv3.SubjectAltNameMatcher, len(peers))
	for i, peer := range peers {
		names[i] = &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: peer}
	}
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		AlpnProtocols: alpn,
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{
			Name: mesh.IdentitySecret,
			SdsConfig: &corev3.ConfigSource{
				ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
					Path:             mesh.IdentityFolder + "/" + mesh.IdentityFile,
					WatchedDirectory: &corev3.WatchedDirectory{Path: mesh.IdentityFolder},
				}},
				ResourceApiVersion: corev3.ApiVersion_V3,
			},
		}},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: names},
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: meshTrust, SdsConfig: overADS()},
		}},
	}
}

// toPeer is the transport socket of calls to peers that have one of the IDs.
func toPeer(alpn []string, ids ...string) *corev3.TransportSocket {
	var peers []*matcherv3.StringMatcher
	for _, id := range ids {
		peers = append(peers, exactly(id))
	}
	return tlsSocket(&tlsv3.UpstreamTlsContext{CommonTlsContext: peerTLS(alpn, peers...)})
}

// secureUpstream has the cluster of a service behind sidecars call them by mutual
// TLS. While the service is permissive, those that do not take it yet are called
// in plain text; which they are, the registry knows and nobody on the way.
func (b *builder) secureUpstream(c *clusterv3.Cluster, s *mesh.Service) {
	if !b.secure() || !b.trust.behindSidecars(s) {
		return
	}
	socket := toPeer(append([]string{meshALPN}, alpn(s.Protocol)...), b.trust.serviceID(s.Name))
	if b.trust.strict(s) {
		c.TransportSocket = socket
		return
	}
	c.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{{
		Name: takesMTLS, Match: &structpb.Struct{Fields: map[string]*structpb.Value{takesMTLS: structpb.NewBoolValue(true)}}, TransportSocket: socket,
	}}
}

// refusedPlain tells of a service that the proxy cannot call, for want of an identity.
func (b *builder) refusedPlain(s *mesh.Service) {
	if b.trust.strict(s) && b.trust.behindSidecars(s) && !b.secure() {
		who := "a proxy of it"
		if b.scope.Proxy.Profile == mesh.GatewayProfile {
			who = fmt.Sprintf("gateway %q", b.scope.Service)
		}
		b.problem(b.scope.Service, fmt.Sprintf("%s has no identity (heddle proxy --identity-dir), and %q takes nothing but mutual TLS: calls from there fail", who, s.Name))
	}
}

// fromPeers is the transport socket of an inbound listener for callers of the mesh.
func (b *builder) fromPeers(alpn []string) *corev3.TransportSocket {
	anybody := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "spiffe://" + b.trust.Domain + "/"}}
	return tlsSocket(&tlsv3.DownstreamTlsContext{
		CommonTlsContext:         peerTLS(alpn, anybody),
		RequireClientCertificate: yes(),
		// A session that is taken up again shows no certificate, so an ended one would pass.
		SessionTicketKeysType:            &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true},
		DisableStatefulSessionResumption: true,
	})
}
