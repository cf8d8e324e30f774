package translate

import (
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// fault says why a valid declaration cannot be called at all, or "". Then its
// callers get a 503 that says so: TLS that cannot be verified as declared must
// not become TLS that is verified in another way.
func fault(s *mesh.Service) string {
	if s.Traffic.TLS == nil {
		return ""
	}
	if s.Traffic.TLS.CA != "" {
		if _, err := certificates(s.Traffic.TLS.CA); err != nil {
			return "it cannot be called: " + err.Error()
		}
	}
	if len(s.Traffic.TLS.SubjectAltNames) == 0 && serverName(s) == "" {
		return "it cannot be called: traffic.tls.sni is required without a DNS host: the name in the server's certificate"
	}
	return ""
}

// hostRewrite is the Host header sent instead of the caller's, or "".
func hostRewrite(s *mesh.Service) string {
	host := s.Traffic.HostHeader
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return host
}

// checkHostHeader tells of a host header that hostRewrite leaves out.
func (b *builder) checkHostHeader(s *mesh.Service) {
	if s.Traffic.HostHeader != hostRewrite(s) {
		b.problem(s.Name, "traffic.hostHeader is left out: it has characters that a header cannot have")
	}
}
