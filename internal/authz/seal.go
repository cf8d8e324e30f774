package authz

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// errSealed is why a sealed value is not taken.
var errSealed = errors.New("it was not sealed with this key, or was changed since")

// newSeal makes AES-256-GCM with random nonces and a key derived from secret for
// one purpose.
func newSeal(secret []byte, purpose string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealed encrypts a text. It can be opened only for the same place, so that one
// sealed value cannot be put where another belongs.
func sealed(aead cipher.AEAD, text, place []byte) []byte {
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(text)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails: it ends the process instead
	return aead.Seal(nonce, nonce, text, place)
}

// opened is the reverse of sealed.
func opened(aead cipher.AEAD, value, place []byte) ([]byte, error) {
	if len(value) < aead.NonceSize() {
		return nil, errSealed
	}
	text, err := aead.Open(nil, value[:aead.NonceSize()], value[aead.NonceSize():], place)
	if err != nil {
		return nil, errSealed
	}
	return text, nil
}
