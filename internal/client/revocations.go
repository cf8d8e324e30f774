package client

import (
	"context"
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Revoke revokes the certificates of an identity or a workload, see
// [mesh.Revocation].
func (c *Client) Revoke(ctx context.Context, of string) (mesh.Revocation, error) {
	var out mesh.Revocation
	err := c.do(ctx, request{method: http.MethodPost, segments: api("revocations"), body: struct {
		Of string `json:"of"`
	}{of}}, &out)
	return out, err
}

// Revocations lists what is revoked.
func (c *Client) Revocations(ctx context.Context) ([]mesh.Revocation, error) {
	var out page[mesh.Revocation]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("revocations")}, &out)
	return out.Items, err
}

// Unrevoke takes a revocation back.
func (c *Client) Unrevoke(ctx context.Context, of string) error {
	kind, name, _ := strings.Cut(of, "/")
	return c.do(ctx, request{method: http.MethodDelete, segments: api("revocations", kind, name)}, nil)
}
