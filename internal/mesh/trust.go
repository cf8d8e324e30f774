package mesh

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// TokenKeys are the public keys by which sidecars check the tokens that callers
// bring. The AuthZ service writes them whenever its own change.
type TokenKeys struct {
	Issuer string          `json:"issuer"` // what tokens say in iss
	JWKS   json.RawMessage `json:"jwks"`   // JSON Web Key Set (RFC 7517)

	// Whose they are: by these, AuthZ services that keep different keys notice it.
	Keyring  string `json:"keyring,omitempty"`  // name of the place where the private ones are kept
	Sequence int64  `json:"sequence,omitempty"` // counts the changes there
	Digest   string `json:"digest,omitempty"`   // of issuer and keys, as they were written

	Schedule []KeyTime `json:"schedule,omitempty"` // in the order in which the keys sign

	Meta Meta `json:"meta,omitzero"`
}

// KeyTime says when a key begins to sign, which ends that of the one before.
type KeyTime struct {
	ID        string    `json:"id"` // the JWKS's kid
	SignsFrom time.Time `json:"signsFrom"`
}

// KeyOrders are what admins want of all AuthZ services.
type KeyOrders struct {
	Revoked   []RevokedKey `json:"revoked,omitempty"`   // they are never used again; by ID
	Rotation  string       `json:"rotation,omitempty"`  // name of the last rotation that was asked for out of turn
	Withdrawn bool         `json:"withdrawn,omitempty"` // no keys are published, so sidecars neither ask nor check
	Meta      Meta         `json:"meta,omitzero"`
}

// RevokedKey is a signing key that was revoked.
type RevokedKey struct {
	ID     string    `json:"id"` // the JWKS's kid
	At     time.Time `json:"at"`
	Author string    `json:"author,omitempty"`
}

// Revokes says whether a key is revoked.
func (o *KeyOrders) Revokes(id string) bool {
	return slices.ContainsFunc(o.Revoked, func(k RevokedKey) bool { return k.ID == id })
}

// Validate reports every fault.
func (k *TokenKeys) Validate() Faults {
	var f Faults
	if k.Issuer == "" {
		f.Add("issuer", "is missing")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(k.JWKS, &set); err != nil {
		f.Add("jwks", "is not a JSON Web Key Set: %v", err)
	} else if len(set.Keys) == 0 {
		f.Add("jwks", "has no keys")
	}
	return f
}

// Authorizer is a running AuthZ service that sidecars may ask. It is registered
// with a lease.
type Authorizer struct {
	ID      string `json:"id"`
	Address string `json:"address"` // IP address
	Port    Port   `json:"port"`
	Stale   bool   `json:"-"` // its lease ended, and there is no other
	Meta    Meta   `json:"meta,omitzero"`
}

// Validate reports every fault.
func (a *Authorizer) Validate() Faults {
	var f Faults
	if a.ID == "" || len(a.ID) > 128 || strings.ContainsAny(a.ID, "/ \x00") {
		f.Add("id", "%+q is not 1 to 128 characters without slashes and spaces", a.ID)
	}
	if ip, err := netip.ParseAddr(a.Address); err != nil || ip.IsUnspecified() || ip.Zone() != "" {
		f.Add("address", "%+q is not an IP address that others can reach", a.Address)
	}
	if a.Port < 1 || a.Port > 65535 {
		f.Add("port", "%d is not a port: use 1 to 65535", int(a.Port))
	}
	return f
}
