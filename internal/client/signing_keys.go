package client

import (
	"context"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// SigningKeys are the published keys of the AuthZ services, and these.
type SigningKeys struct {
	Issuer      string            `json:"issuer,omitempty"`
	Withdrawn   bool              `json:"withdrawn"`
	Keys        []SigningKey      `json:"keys"`
	Revoked     []mesh.RevokedKey `json:"revoked"`
	Authorizers []mesh.Authorizer `json:"authorizers"`
}

// SigningKey is one published key.
type SigningKey struct {
	ID        string    `json:"id"`
	Algorithm string    `json:"algorithm,omitempty"`
	SignsFrom time.Time `json:"signsFrom"`
	State     string    `json:"state"` // signing, next, former or revoked
}

// SigningKeys lists them.
func (c *Client) SigningKeys(ctx context.Context) (SigningKeys, error) {
	var out SigningKeys
	err := c.do(ctx, request{method: http.MethodGet, segments: api("signing-keys")}, &out)
	return out, err
}

// RevokeSigningKey ends a key for ever.
func (c *Client) RevokeSigningKey(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, segments: api("signing-keys", id)}, nil)
}

// OrderSigningKeys has all AuthZ services do something: rotate, withdraw or publish.
func (c *Client) OrderSigningKeys(ctx context.Context, what string) error {
	return c.do(ctx, request{method: http.MethodPost, segments: api("signing-keys", what)}, nil)
}
