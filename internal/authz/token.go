package authz

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// DefaultTokenLife is how long a token lives unless a setting says otherwise.
const DefaultTokenLife = 15 * time.Minute

// MinimumLeft is how long a token that is handed out lives at least.
const MinimumLeft = 30 * time.Second

// Pair is what a token is for. Two equal ones are given the same token.
type Pair struct {
	Caller string // SPIFFE ID
	Callee string // SPIFFE ID
	User   string // the claim "usr", as [User.Claim] gives it; "" when no person is behind the request
}

// User is the person, or the program outside the mesh, for whom a gateway asks.
type User struct {
	Issuer  string   `json:"iss,omitempty"` // who says so: names and groups are its own
	Email   string   `json:"email,omitempty"`
	Subject string   `json:"sub,omitempty"` // of a person
	Groups  []string `json:"groups,omitempty"`
	Service string   `json:"service,omitempty"` // of a program that has no subject
}

// Claim encodes the user for [Pair.User].
func (u User) Claim() string {
	data, _ := json.Marshal(u) // strings always can be
	return string(data)
}

// claims are what a token says (RFC 7519), in this order.
type claims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  string          `json:"aud"`
	IssuedAt  int64           `json:"iat"`
	NotBefore int64           `json:"nbf"`
	Expires   int64           `json:"exp"`
	ID        string          `json:"jti"`
	User      json.RawMessage `json:"usr,omitempty"`
}

// Token is a signed token.
type Token struct {
	Raw     string    // compact JWS
	Expires time.Time // "exp"

	key        *key
	lastUse    time.Time // it is handed out before this
	refresh    time.Time // another one is fetched from this on
	refreshing atomic.Bool
	response   *response // what Envoy is answered
}

// mint signs a token.
func (k *key) mint(issuer string, p Pair, now time.Time, life time.Duration) (string, time.Time, error) {
	now = now.Truncate(time.Second) // what the claims can say
	expires := now.Add(life)
	said := claims{
		Issuer: issuer, Subject: p.Caller, Audience: p.Callee,
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: expires.Unix(),
		ID: uuid.NewString(), User: json.RawMessage(p.User),
	}
	payload, err := json.Marshal(said)
	if err != nil {
		return "", time.Time{}, err
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", time.Time{}, err
	}
	raw, err := signed.CompactSerialize()
	return raw, expires, err
}
