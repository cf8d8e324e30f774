package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxRequest bounds a certificate request, in bytes of PEM; one with an RSA key of
// 4096 bits has less than 2 KiB.
const maxRequest = 8 << 10

// parseRequest reads a certificate request and makes sure that its sender has
// the key. Nothing else in it counts: the names come from what was proven.
func parseRequest(text string) (*x509.CertificateRequest, error) {
	var faults mesh.Faults
	refused := func(format string, args ...any) (*x509.CertificateRequest, error) {
		faults.Add("csr", format, args...)
		return nil, mesh.Invalid("issue a certificate", faults)
	}
	if len(text) > maxRequest {
		return refused("has %d bytes; at most %d are allowed", len(text), maxRequest)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return refused("is not one PEM block of type CERTIFICATE REQUEST")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return refused("cannot be read: %v", err)
	}
	switch key := request.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return refused("has an ECDSA key on %s; use P-256 or P-384", key.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
			return refused("has an RSA key of %d bits; use 2048 to 4096, or ECDSA P-256", bits)
		}
	default:
		return refused("has a key of type %s; use ECDSA P-256, P-384 or RSA", request.PublicKeyAlgorithm)
	}
	if err := request.CheckSignature(); err != nil {
		return refused("is not signed by its key: %v", err)
	}
	return request, nil
}

// KeyPin identifies a public key as [RequestKey] does that of a request.
func KeyPin(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	return hashOf(der), err
}

// RequestKey identifies the key of a certificate request, as [Pin] does that of a
// certificate. The request is checked as for [Authority.Issue].
func RequestKey(text string) (string, error) {
	request, err := parseRequest(text)
	if err != nil {
		return "", err
	}
	return hashOf(request.RawSubjectPublicKeyInfo), nil
}
