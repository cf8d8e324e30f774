package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// rootLifetime is how long a root that is made at the first start lives.
const rootLifetime = 10 * 365 * 24 * time.Hour

// Files are where an authority is.
type Files struct {
	Key    string // PEM, PKCS #8 or SEC 1
	Cert   string // PEM: the key's certificate, then those up to its root
	Bundle string // PEM: further roots to trust; "": none
}

// In is where an authority of its own is kept in a server's data folder.
func In(dir string) Files {
	return Files{Key: filepath.Join(dir, "ca-key.pem"), Cert: filepath.Join(dir, "ca-cert.pem")}
}

// Load reads an authority.
func Load(cfg Config, files Files) (*Authority, error) {
	key, err := readKey(files.Key)
	if err != nil {
		return nil, fmt.Errorf("the authority's key %s: %w", files.Key, err)
	}
	chain, err := readCertificates(files.Cert)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate %s: %w", files.Cert, err)
	}
	var more []*x509.Certificate
	if files.Bundle != "" {
		if more, err = readCertificates(files.Bundle); err != nil {
			return nil, fmt.Errorf("the further roots %s: %w", files.Bundle, err)
		}
	}
	a, err := New(cfg, key, chain, more)
	if err != nil {
		return nil, fmt.Errorf("the authority %s: %w", files.Cert, err)
	}
	return a, nil
}

// Create makes the key and the root certificate of an authority, unless they are
// there. The certificate is written last: a key without one is of an attempt that
// was cut off, has signed nothing and is replaced.
func Create(cfg Config, files Files) error {
	if _, err := os.Stat(files.Cert); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if cfg.TrustDomain == "" {
		cfg.TrustDomain = DefaultTrustDomain
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	now := cfg.Now()
	root := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: "Heddle root of " + cfg.TrustDomain},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(rootLifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})); err != nil {
		return err
	}
	return write(files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// write replaces a file in one step; only its owner may read it.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), ".heddle-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = beside.Write(data)
	err = errors.Join(err, beside.Sync(), beside.Close())
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		_ = os.Remove(beside.Name())
	}
	return err
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseCertificates(data)
}

func readKey(path string) (crypto.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others than its owner may read it (mode %04o): chmod 600 it", info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseKey(data)
}

// ParseKey reads a private key, the first that is in text.
func ParseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
			return nil, fmt.Errorf("its key of type %T cannot sign", key)
		case "EC PARAMETERS": // openssl writes them before the key
		default:
			return nil, fmt.Errorf("it holds a PEM block %q rather than a private key without a password", block.Type)
		}
	}
	return nil, errors.New("there is no PEM private key in it")
}
