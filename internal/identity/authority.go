package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of how long a certificate lives.
const (
	DefaultLifetime  = time.Hour
	ShortestLifetime = time.Second
	LongestLifetime  = 30 * 24 * time.Hour
)

// backdate is how far the clock of whoever reads a certificate may be behind.
const backdate = time.Minute

// Config says what an authority signs; zero values work.
type Config struct {
	TrustDomain string           // default [DefaultTrustDomain]
	Lifetime    time.Duration    // of a certificate; default [DefaultLifetime]
	Hosts       []string         // names and addresses of the server, for its own certificate beside its SPIFFE ID
	Now         func() time.Time // default time.Now
}

// Authority signs certificates. It is safe for concurrent use.
type Authority struct {
	domain   spiffeid.TrustDomain
	lifetime time.Duration
	hosts    []string
	now      func() time.Time
	key      crypto.Signer
	chain    []*x509.Certificate // the signing certificate first, its root last
	roots    []*x509.Certificate // whom everyone trusts, the own root first
	revoked  Revocations

	mu  sync.Mutex
	own ownCertificate // guarded by mu
}

// Issued is what a workload gets.
type Issued struct {
	ID        string    // SPIFFE ID
	Workload  string    // see [Proof]
	Chain     string    // PEM: the certificate, then those between it and a root
	Bundle    string    // PEM: the roots to trust
	ExpiresAt time.Time // of the certificate
}

// New makes an authority of a key and its certificate with the chain up to its
// root. more are further roots to trust: those of an authority that follows or
// that was followed.
func New(cfg Config, key crypto.Signer, chain, more []*x509.Certificate) (*Authority, error) {
	a := &Authority{lifetime: cfg.Lifetime, hosts: cfg.Hosts, now: cfg.Now, key: key}
	if cfg.TrustDomain == "" {
		cfg.TrustDomain = DefaultTrustDomain
	}
	if a.lifetime == 0 {
		a.lifetime = DefaultLifetime
	}
	if a.now == nil {
		a.now = time.Now
	}
	var err error
	if a.domain, err = ParseTrustDomain(cfg.TrustDomain); err != nil {
		return nil, err
	}
	if a.chain, err = ordered(chain, key.Public(), a.now()); err != nil {
		return nil, err
	}
	a.roots = []*x509.Certificate{a.root()}
	for _, one := range more {
		if !one.IsCA || one.CheckSignature(one.SignatureAlgorithm, one.RawTBSCertificate, one.Signature) != nil {
			return nil, fmt.Errorf("the further root %q is not the certificate of a root authority", one.Subject)
		}
		if Pin(one) != Pin(a.root()) {
			a.roots = append(a.roots, one)
		}
	}
	return a, nil
}

// ParseTrustDomain reads the name of a trust domain.
func ParseTrustDomain(name string) (spiffeid.TrustDomain, error) {
	domain, err := spiffeid.TrustDomainFromString(name)
	if err != nil || domain.Name() != name {
		return spiffeid.TrustDomain{}, fmt.Errorf("%q is not the name of a trust domain: use lower-case letters, digits, dots, dashes and underscores, such as %s", name, DefaultTrustDomain)
	}
	return domain, nil
}

// ordered checks a chain: the key's certificate first, each signed by the next,
// the last by itself.
func ordered(chain []*x509.Certificate, key crypto.PublicKey, now time.Time) ([]*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, fmt.Errorf("the authority has no certificate")
	}
	if same, ok := chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(key) {
		return nil, fmt.Errorf("the first certificate, %q, is not that of the authority's key", chain[0].Subject)
	}
	for i, one := range chain {
		signer := one // the last signs itself
		if i+1 < len(chain) {
			signer = chain[i+1]
		}
		switch {
		case !one.IsCA || !one.BasicConstraintsValid:
			return nil, fmt.Errorf("the certificate %q may not sign others: it is no authority's", one.Subject)
		case one.KeyUsage != 0 && one.KeyUsage&x509.KeyUsageCertSign == 0:
			return nil, fmt.Errorf("the certificate %q may not sign others: its key usage leaves that out", one.Subject)
		case now.After(one.NotAfter):
			return nil, fmt.Errorf("the certificate %q expired at %s", one.Subject, one.NotAfter.UTC().Format(time.RFC3339))
		}
		if err := one.CheckSignatureFrom(signer); err != nil {
			return nil, fmt.Errorf("the certificate %q is not signed by %q: give the whole chain, the authority's certificate first and its root last: %w", one.Subject, signer.Subject, err)
		}
	}
	return chain, nil
}

// TrustDomain is the domain of all identities that the authority gives.
func (a *Authority) TrustDomain() spiffeid.TrustDomain { return a.domain }

// Pin identifies the root of the authority, see [Pin].
func (a *Authority) Pin() string { return Pin(a.root()) }

// Bundle gives the roots that everyone is to trust, as PEM.
func (a *Authority) Bundle() string { return EncodeCertificates(a.roots...) }

func (a *Authority) root() *x509.Certificate { return a.chain[len(a.chain)-1] }

// Revocations are what the authority refuses; it has to be told of them.
func (a *Authority) Revocations() *Revocations { return &a.revoked }

// Issue signs a certificate request of somebody who joins as an identity. What
// names the request holds does not matter.
func (a *Authority) Issue(request string, of mesh.Identity) (Issued, error) {
	return a.issue(request, of, newWorkload(a.revoked.joining(of, a.now())))
}

// gatewayRenewal is for how long after it joined a gateway of the Gateway API renews:
// then it joins anew, and its Gateway is looked at again.
const gatewayRenewal = 24 * time.Hour

// Renew signs a certificate request of somebody who has proven an identity, unless
// that is revoked.
func (a *Authority) Renew(request string, of Proof) (Issued, error) {
	if err := a.revoked.renewable(of); err != nil {
		return Issued{}, err
	}
	if of.Kind == mesh.GatewayIdentity && mesh.OfGatewayAPI(of.Name) && a.now().Sub(of.Joined) > gatewayRenewal {
		return Issued{}, mesh.Denied("renew the certificate of %s: it joined more than %s ago, and a gateway of the Gateway API joins anew then", of.Identity, gatewayRenewal)
	}
	workload, err := hex.DecodeString(of.Workload)
	if err != nil || len(workload) != workloadLength {
		workload = newWorkload(a.now())
	}
	return a.issue(request, of.Identity, workload)
}

func (a *Authority) issue(request string, of mesh.Identity, workload []byte) (Issued, error) {
	if of.Kind == mesh.ServerIdentity {
		return Issued{}, mesh.Denied("the identity of the control plane is not given away")
	}
	parsed, err := parseRequest(request)
	if err != nil {
		return Issued{}, err
	}
	id, err := ID(a.domain, of)
	if err != nil {
		return Issued{}, err
	}
	certificate, err := a.sign(parsed.PublicKey, workload, x509.Certificate{URIs: []*url.URL{id.URL()}})
	if err != nil {
		return Issued{}, err
	}
	between := a.chain[:len(a.chain)-1]
	return Issued{
		ID: id.String(), Workload: nameOf(workload), Chain: EncodeCertificates(certificate) + EncodeCertificates(between...),
		Bundle: a.Bundle(), ExpiresAt: certificate.NotAfter,
	}, nil
}

// sign makes a workload's certificate with the names of names.
func (a *Authority) sign(key crypto.PublicKey, workload []byte, names x509.Certificate) (*x509.Certificate, error) {
	now, signer := a.now(), a.chain[0]
	expires := now.Add(a.lifetime)
	for _, one := range a.chain {
		if one.NotAfter.Before(expires) {
			expires = one.NotAfter
		}
	}
	if !expires.After(now) {
		return nil, mesh.Unavailable(nil, "issue a certificate: the authority's own expired; give the server another (--ca-key, --ca-cert)")
	}
	template := &x509.Certificate{
		SerialNumber: serialOf(workload),
		NotBefore:    now.Add(-backdate), NotAfter: expires,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		URIs:                  names.URIs, DNSNames: names.DNSNames, IPAddresses: names.IPAddresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// names tells apart host names and addresses.
func names(hosts []string) (dns []string, addresses []net.IP) {
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			addresses = append(addresses, ip)
		} else if host != "" {
			dns = append(dns, host)
		}
	}
	return dns, addresses
}
