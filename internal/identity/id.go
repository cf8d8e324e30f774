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

// ID is the SPIFFE ID of an identity.
func ID(domain spiffeid.TrustDomain, of mesh.Identity) (spiffeid.ID, error) {
	if _, err := mesh.ParseIdentity(of.String()); err != nil { // its name may be anything
		return spiffeid.ID{}, fmt.Errorf("the identity: %w", err)
	}
	return spiffeid.FromPath(domain, "/"+of.String())
}

// ServerID is the SPIFFE ID of the control plane.
func ServerID(domain spiffeid.TrustDomain) spiffeid.ID {
	return spiffeid.RequireFromPath(domain, "/"+server.String()) // a constant that is a valid path
}

// server is the control plane's identity.
var server = mesh.Identity{Kind: mesh.ServerIdentity}

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

// identityOf reads whose certificate it is.
func identityOf(certificate *x509.Certificate, domain spiffeid.TrustDomain) (mesh.Identity, error) {
	id, err := idOf(certificate)
	if err != nil {
		return mesh.Identity{}, err
	}
	of, err := mesh.ParseIdentity(strings.TrimPrefix(id.Path(), "/"))
	if id.TrustDomain() != domain || err != nil {
		return mesh.Identity{}, fmt.Errorf("%s is not an identity of %s", id, domain.IDString())
	}
	return of, nil
}
