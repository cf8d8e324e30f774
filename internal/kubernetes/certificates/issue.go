package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// from is when a certificate begins: a little earlier, for clocks that are behind.
func from(now time.Time, life time.Duration) time.Time { return now.Add(-min(5*time.Minute, life/20)) }

// parsed is a pair that can be used.
type parsed struct {
	certificate tls.Certificate
	leaf        *x509.Certificate
}

func (p pair) parse() (parsed, error) {
	certificate, err := tls.X509KeyPair(p.certificate, p.key)
	if err != nil {
		return parsed{}, err
	}
	return parsed{certificate, certificate.Leaf}, nil
}

// newAuthority makes a root of its own name: of two in one bundle each is found.
func newAuthority(now time.Time, life time.Duration) (pair, error) {
	serial, err := newSerial()
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("heddle operator %x", serial)},
		NotBefore: from(now, life), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return issue(template, nil)
}

// sign makes the certificate that is served.
func (p pair) sign(now time.Time, life time.Duration, hosts []string) (pair, error) {
	authority, err := p.parse()
	if err != nil {
		return pair{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "heddle operator"}, DNSNames: dnsNames(hosts),
		NotBefore: from(now, life), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		}
	}
	if template.NotAfter.After(authority.leaf.NotAfter) {
		template.NotAfter = authority.leaf.NotAfter
	}
	return issue(template, &authority)
}

// dnsNames are the hosts that are names. One that is an address is written beside them.
func dnsNames(hosts []string) (names []string) {
	for _, host := range hosts {
		if net.ParseIP(host) == nil {
			names = append(names, host)
		}
	}
	return names
}

// issue signs a certificate for a new key; without an authority by that key itself.
func issue(template *x509.Certificate, by *parsed) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	parent, signer := template, crypto.PrivateKey(key)
	if by != nil {
		parent, signer = by.leaf, by.certificate.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
}
