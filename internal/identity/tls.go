package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/peer"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ownCertificate is the server's, and when it is replaced.
type ownCertificate struct {
	certificate *tls.Certificate
	renew       time.Time
}

// ServerTLS is how the server meets its clients: with a certificate of its own,
// which it replaces at half its life; and with any client that shows none, or one of the bundle's. What a client without one
// may do is for the caller to say, by [Authority.Client].
func (a *Authority) ServerTLS(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: protocols,
		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  pool(a.roots),
		Time:       a.now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.ownCertificate()
		},
	}
}

func (a *Authority) ownCertificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.own.certificate != nil && a.now().Before(a.own.renew) {
		return a.own.certificate, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id := ServerID(a.domain)
	dns, addresses := names(a.hosts)
	leaf, err := a.sign(key.Public(), newWorkload(a.now()), x509.Certificate{URIs: []*url.URL{id.URL()}, DNSNames: dns, IPAddresses: addresses})
	if err != nil {
		return nil, err
	}
	certificate := &tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	// With the root, which whoever knows only its pin has to see.
	for _, one := range a.chain {
		certificate.Certificate = append(certificate.Certificate, one.Raw)
	}
	a.own = ownCertificate{certificate, a.now().Add(leaf.NotAfter.Sub(a.now()) / 2)}
	return certificate, nil
}

// Client gives who has proven to be the client of a connection; nobody if it showed
// no certificate. A certificate that this mesh gives to no client, that has expired
// since it was shown or is revoked, is an error.
func (a *Authority) Client(connection *tls.ConnectionState) (Proof, error) {
	if connection == nil || len(connection.VerifiedChains) == 0 {
		return Proof{}, nil
	}
	leaf := connection.PeerCertificates[0]
	if a.now().After(leaf.NotAfter) {
		return Proof{}, mesh.Denied("the certificate that the connection was made with expired at %s: connect again with the present one", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	of, err := identityOf(leaf, a.domain)
	if err != nil {
		return Proof{}, mesh.Denied("%v", err)
	}
	if of == server {
		return Proof{}, mesh.Denied("the certificate is that of a control plane, which is nobody's client")
	}
	workload, joined := joinOf(leaf)
	proof := Proof{of, nameOf(workload), joined}
	if err := a.revoked.Check(proof); err != nil {
		return Proof{}, err
	}
	return proof, nil
}

// Peer gives who has proven to make a gRPC call; nobody on a connection without
// [Authority.Credentials]. With TLS, a caller that has not proven anything is an error.
func (a *Authority) Peer(ctx context.Context) (mesh.Identity, error) {
	proof, err := a.Proven(ctx)
	return proof.Identity, err
}

// Proven is Peer with all that was proven.
func (a *Authority) Proven(ctx context.Context) (Proof, error) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return Proof{}, nil
	}
	over, ok := caller.AuthInfo.(connection)
	if !ok {
		return Proof{}, nil
	}
	of, err := a.Client(&over.State)
	if err == nil && of == (Proof{}) {
		err = mesh.Denied("this port needs the certificate of a workload, and none was shown: heddle proxy and heddle identity get one with a join token")
	}
	return of, err
}

// UntrustedError is why a server is not taken for the control plane.
type UntrustedError struct{ reason error }

func (u *UntrustedError) Error() string { return u.reason.Error() }

// Unwrap gives the reason.
func (u *UntrustedError) Unwrap() error { return u.reason }

// PinnedTLS is how a workload meets the server for the first time: it knows only
// the pin of the root.
func PinnedTLS(pin string) *tls.Config {
	return verifiedBy(func(shown []*x509.Certificate) error {
		at := slices.IndexFunc(shown, func(one *x509.Certificate) bool { return Pin(one) == pin })
		if at < 0 {
			return errors.New("the server's certificate is not of the authority that the join token names; is it another mesh's, or someone in between?")
		}
		return verifyServer(shown, shown[at:at+1], nil, server)
	})
}

// ClientTLS is how a workload meets the server with its certificate. Both are
// asked for at each new connection.
func ClientTLS(certificate func() *tls.Certificate, roots func() []*x509.Certificate) *tls.Config {
	return clientTLS(certificate, roots, server)
}

// AuthorizerTLS is how a workload meets an AuthZ service, which may be part of the
// server.
func AuthorizerTLS(certificate func() *tls.Certificate, roots func() []*x509.Certificate) *tls.Config {
	return clientTLS(certificate, roots, mesh.Identity{Kind: mesh.AuthzIdentity}, server)
}

func clientTLS(certificate func() *tls.Certificate, roots func() []*x509.Certificate, who ...mesh.Identity) *tls.Config {
	cfg := verifiedBy(func(shown []*x509.Certificate) error {
		own, err := idOf(certificate().Leaf)
		if err != nil {
			return err
		}
		domain := own.TrustDomain()
		return verifyServer(shown, roots(), &domain, who...)
	})
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate(), nil }
	return cfg
}

// verifiedBy has the server's certificate verified by its identity instead of the
// name that it was called by.
func verifiedBy(verify func(shown []*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it, for every connection
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the server shows no certificate")
			}
			if err := verify(state.PeerCertificates); err != nil {
				return &UntrustedError{err}
			}
			return nil
		},
	}
}

// verifyServer makes sure that a server is one of those meant, in domain if given.
func verifyServer(shown, roots []*x509.Certificate, domain *spiffeid.TrustDomain, who ...mesh.Identity) error {
	_, err := shown[0].Verify(x509.VerifyOptions{
		Roots: pool(roots), Intermediates: pool(shown[1:]), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("the server's certificate cannot be trusted: %w", err)
	}
	id, err := idOf(shown[0])
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(who, func(one mesh.Identity) bool { return id.Path() == "/"+one.String() }) || domain != nil && id.TrustDomain() != *domain {
		return fmt.Errorf("%s is not the identity of the control plane", id)
	}
	return nil
}
