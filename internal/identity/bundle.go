package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
)

// ParseCertificates reads PEM certificates, at least one, and nothing else.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("something in it is not a PEM block of type CERTIFICATE")
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no certificate in it")
	}
	return all, nil
}

// EncodeCertificates writes certificates as PEM.
func EncodeCertificates(all ...*x509.Certificate) string {
	var out strings.Builder
	for _, one := range all {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw}))
	}
	return out.String()
}

// Pin identifies a certificate by its key: SHA-256 of the SubjectPublicKeyInfo,
// hexadecimal.
func Pin(certificate *x509.Certificate) string {
	return hashOf(certificate.RawSubjectPublicKeyInfo)
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func pool(all []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, one := range all {
		p.AddCert(one)
	}
	return p
}
