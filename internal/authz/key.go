package authz

import (
	"crypto"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// KeyType is the kind of key that tokens are signed with.
type KeyType string

// The kinds of keys. RSA keys sign RS256.
const (
	RSA2048 KeyType = "rsa-2048" // default
	RSA3072 KeyType = "rsa-3072"
	RSA4096 KeyType = "rsa-4096"
	ES256   KeyType = "es256"
	EdDSA   KeyType = "eddsa"
)

// key is one signing key. It never changes.
type key struct {
	id        string // RFC 7638 thumbprint of the public key
	signsFrom time.Time
	pkcs8     []byte
	public    jose.JSONWebKey
	algorithm jose.SignatureAlgorithm
	signer    jose.Signer
	seal      cipher.AEAD // of this key's tokens in Redis
}

// generateKey makes a private key, as PKCS #8.
func generateKey(kind KeyType) (pkcs8 []byte, err error) {
	var private any
	switch kind {
	case RSA2048, "":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		private, err = rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		private, err = rsa.GenerateKey(rand.Reader, 4096)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("make a signing key: %q is no kind of key: use rsa-2048, rsa-3072, rsa-4096, es256 or eddsa", kind)}
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(private)
}

// readKey makes a key of what is stored.
func readKey(pkcs8 []byte, signsFrom time.Time) (*key, error) {
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, err
	}
	k := &key{pkcs8: pkcs8, signsFrom: signsFrom}
	switch p := private.(type) {
	case *rsa.PrivateKey:
		if p.N.BitLen() < 2048 {
			return nil, fmt.Errorf("an RSA key of %d bits is too short: 2048 at least", p.N.BitLen())
		}
		k.algorithm = jose.RS256
	case *ecdsa.PrivateKey:
		if p.Curve != elliptic.P256() {
			return nil, fmt.Errorf("a key on the curve %s: P-256 is the one that ES256 signs with", p.Curve.Params().Name)
		}
		k.algorithm = jose.ES256
	case ed25519.PrivateKey:
		k.algorithm = jose.EdDSA
	default:
		return nil, fmt.Errorf("a key of type %T cannot sign tokens", private)
	}
	k.public = jose.JSONWebKey{Key: private.(crypto.Signer).Public(), Algorithm: string(k.algorithm), Use: "sig"}
	thumbprint, err := k.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	k.id = base64.RawURLEncoding.EncodeToString(thumbprint)
	k.public.KeyID = k.id
	k.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: k.algorithm, Key: jose.JSONWebKey{Key: private, KeyID: k.id}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	k.seal, err = newSeal(pkcs8, "heddle authz: tokens in Redis")
	return k, err
}
