package edge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses an object that has a key twice
)

const (
	maxKeys = 100
	maxKid  = 512 // bytes
	// RSA keys below are too weak (RFC 7518, section 3.3), above too slow to verify with.
	minRSA, maxRSA = 2048, 8192 // bits
)

// keySet is what an issuer publishes, by "kid": the current key, the previous one,
// and the next if it says so. Immutable.
type keySet map[string]jose.JSONWebKey

// readKeySet reads a JSON Web Key Set (RFC 7517, section 5). Keys that are of no
// use here are left out, as that section says; a set without any is refused.
func readKeySet(data []byte, allowed []jose.SignatureAlgorithm) (keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("is not one: %w", err)
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("has %d keys; at most %d are taken", len(document.Keys), maxKeys)
	}
	set := keySet{}
	var last error
	for _, raw := range document.Keys {
		key, err := readKey(raw, allowed)
		if err != nil {
			last = err
			continue
		}
		if _, there := set[key.KeyID]; there {
			return nil, fmt.Errorf("has two keys with the id %.100q", key.KeyID)
		}
		set[key.KeyID] = key
	}
	if len(set) == 0 {
		if last == nil {
			last = errors.New("it is empty")
		}
		return nil, fmt.Errorf("has no key that can be used: %w", last)
	}
	return set, nil
}

// readKey reads a key, or says why it is of no use.
func readKey(raw []byte, allowed []jose.SignatureAlgorithm) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(raw); err != nil {
		return key, err
	}
	var more struct {
		Operations []string `json:"key_ops"` // RFC 7517, section 4.3
	}
	if err := json.Unmarshal(raw, &more); err != nil {
		return key, err
	}
	key.Certificates, key.CertificatesURL = nil, nil // the set itself is what is trusted
	switch {
	case key.KeyID == "" || len(key.KeyID) > maxKid:
		return key, errors.New("a key has no id, or a very long one")
	case !key.IsPublic(): // symmetric, or a private key that somebody published
		return key, fmt.Errorf("key %.100q is not a public key", key.KeyID)
	case key.Use != "" && key.Use != "sig", more.Operations != nil && !slices.Contains(more.Operations, "verify"):
		return key, fmt.Errorf("key %.100q is not for signatures", key.KeyID)
	case key.Algorithm != "" && !slices.Contains(allowed, jose.SignatureAlgorithm(key.Algorithm)):
		return key, fmt.Errorf("key %.100q is for %.40q, which is not allowed here", key.KeyID, key.Algorithm)
	case !key.Valid():
		return key, fmt.Errorf("key %.100q is not valid", key.KeyID)
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA {
			return key, fmt.Errorf("key %.100q has %d bits: from %d to %d are taken", key.KeyID, bits, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return key, fmt.Errorf("key %.100q is of a kind that is not taken", key.KeyID)
	}
	return key, nil
}
