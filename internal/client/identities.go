package client

import (
	"context"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Certificate is an identity and whom its holder is to trust.
type Certificate struct {
	ID        string    `json:"id"`        // SPIFFE ID
	Workload  string    `json:"workload"`  // names it and those that renew it
	Chain     string    `json:"chain"`     // PEM
	Bundle    string    `json:"bundle"`    // PEM
	ExpiresAt time.Time `json:"expiresAt"` // of the certificate
}

// IssueIdentity has a certificate request (PEM) signed. The client's token is a
// join token, or there is none and its HTTPClient shows the certificate before.
func (c *Client) IssueIdentity(ctx context.Context, csr string) (Certificate, error) {
	body := struct {
		CSR string `json:"csr"`
	}{csr}
	var out Certificate
	err := c.do(ctx, request{method: http.MethodPost, segments: api("identities"), body: body}, &out)
	return out, err
}

// CreateJoinToken creates a token with which a service's workloads, gateways or
// AuthZ services get their first certificate: uses of them, within ttl; 0 is the
// server's default.
func (c *Client) CreateJoinToken(ctx context.Context, of mesh.Identity, description string, ttl time.Duration, uses int) (token Token, secret string, err error) {
	body := struct {
		Kind        string           `json:"kind"`
		Service     mesh.ServiceName `json:"service,omitempty"`
		Gateway     mesh.ServiceName `json:"gateway,omitempty"`
		Authz       bool             `json:"authz,omitempty"`
		Description string           `json:"description,omitempty"`
		TTL         mesh.Duration    `json:"ttl,omitempty"`
		Uses        int              `json:"uses,omitempty"`
	}{Kind: "join", Authz: of.Kind == mesh.AuthzIdentity, Description: description, TTL: mesh.Duration(ttl), Uses: uses}
	if of.Kind == mesh.GatewayIdentity {
		body.Gateway = of.Name
	} else {
		body.Service = of.Name
	}
	return c.createToken(ctx, body)
}
