package identity

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// DefaultTrustDomain is the trust domain of a mesh that was given none.
const DefaultTrustDomain = "heddle.local"

const (
	serverPath    = "/heddle/server"
	servicePrefix = "/service/"
)

// ServiceID is the SPIFFE ID of a service's workloads.
func ServiceID(domain spiffeid.TrustDomain, service mesh.ServiceName) (spiffeid.ID, error) {
	id, err := spiffeid.FromPath(domain, servicePrefix+string(service))
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("the identity of service %+q: %w", service, err)
	}
	return id, nil
}

// ServerID is the SPIFFE ID of the control plane.
func ServerID(domain spiffeid.TrustDomain) spiffeid.ID {
	return spiffeid.RequireFromPath(domain, serverPath) // a constant that is a valid path
}

// idOf gives the SPIFFE ID of a certificate, which has exactly one URI (X.509-SVID,
// section 2).
func idOf(certificate *x509.Certificate) (spiffeid.ID, error) {
	if len(certificate.URIs) != 1 {
		return spiffeid.ID{}, fmt.Errorf("the certificate has %d URIs, and an identity has one", len(certificate.URIs))
	}
	id, err := spiffeid.FromURI(certificate.URIs[0])
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("the certificate's URI: %w", err)
	}
	return id, nil
}

// serviceOf gives the service that a certificate is for.
func serviceOf(certificate *x509.Certificate, domain spiffeid.TrustDomain) (mesh.ServiceName, error) {
	id, err := idOf(certificate)
	if err != nil {
		return "", err
	}
	name, found := strings.CutPrefix(id.Path(), servicePrefix)
	if id.TrustDomain() != domain || !found || strings.Contains(name, "/") {
		return "", fmt.Errorf("%s is not the identity of a service of %s", id, domain.IDString())
	}
	return mesh.ServiceName(name), nil
}
