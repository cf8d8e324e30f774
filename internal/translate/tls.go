package translate

import (
	"encoding/pem"
	"net/netip"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// systemTrust is the secret that stands for the certificates of the
	// sidecar's machine. It is a secret, not part of the cluster, so that a
	// machine without the file loses TLS upstreams alone, and says why.
	systemTrust     = "trust.system"
	systemTrustFile = "/etc/ssl/certs/ca-certificates.crt"
)

// transportSocket is TLS to a service outside the mesh; nil is plain text.
func transportSocket(s *mesh.Service) *corev3.TransportSocket {
	t := s.Traffic.TLS
	if t == nil {
		return nil
	}
	name := serverName(s)
	context := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, // Envoy's default for clients is 1.2
		},
		AlpnProtocols: alpn(s.Protocol),
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: accepted(t, name)},
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: trustOf(s), SdsConfig: overADS()},
		}},
	}}
	if t.MinVersion == "1.3" {
		context.CommonTlsContext.TlsParams.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
	}
	if _, err := netip.ParseAddr(name); err != nil { // an address is no server name (RFC 6066, section 3)
		context.Sni = name
	}
	return tlsSocket(context)
}

// tlsSocket is TLS, by an UpstreamTlsContext or a DownstreamTlsContext.
func tlsSocket(context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(context)},
	}
}

func serverName(s *mesh.Service) string {
	name := s.Traffic.TLS.SNI
	if d := s.Resolved(); name == "" && d != nil {
		name = d.Host
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func alpn(p mesh.Protocol) []string {
	switch p {
	case mesh.HTTP:
		return []string{"http/1.1"}
	case mesh.HTTP2, mesh.GRPC:
		return []string{"h2"}
	}
	return nil
}

// accepted are the names of which the server's certificate has to hold one.
func accepted(t *mesh.UpstreamTLS, serverName string) []*tlsv3.SubjectAltNameMatcher {
	names := t.SubjectAltNames
	if len(names) == 0 {
		names = []string{serverName}
	}
	var out []*tlsv3.SubjectAltNameMatcher
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		matcher := &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_DNS,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
		}
		if ip, err := netip.ParseAddr(name); err == nil {
			matcher.SanType = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
			matcher.Matcher.MatchPattern = &matcherv3.StringMatcher_Exact{Exact: ip.Unmap().String()}
		} else if domain, wild := strings.CutPrefix(name, "*."); wild { // any one label, a star in the certificate included
			matcher.Matcher.MatchPattern = &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(`[^.]+\.` + regexp.QuoteMeta(domain))}
		}
		out = append(out, matcher)
	}
	return out
}

func trustOf(s *mesh.Service) string {
	if s.Traffic.TLS.CA == "" {
		return systemTrust
	}
	return "ca." + string(s.Name)
}

// secret makes what the service's certificate is verified by.
func (b *builder) secret(s *mesh.Service) {
	if s.Traffic.TLS == nil {
		return
	}
	name, origin := trustOf(s), originOf(s)
	trusted := &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: systemTrustFile}}
	if name == systemTrust {
		if b.trustsSystem {
			return
		}
		b.trustsSystem = true
		origin = Origin{Object: "the certificates of the sidecar's machine"}
	} else {
		trusted = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: certificates(s.Traffic.TLS.CA)}}
	}
	b.add(TypeSecret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: trusted},
	}}, origin)
}

// certificates keeps the certificates of a PEM text, and nothing else of it.
func certificates(text string) string {
	var out strings.Builder
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	return out.String()
}
