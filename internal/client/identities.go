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

// Bound is the one workload that a join token is for. What is left out does not matter.
type Bound struct {
	Instance  mesh.InstanceID `json:"instance,omitempty"`  // for the audit
	Addresses []string        `json:"addresses,omitempty"` // IP addresses; it joins from one of them
	Key       string          `json:"key,omitempty"`       // its public key, see identity.KeyPin
	GatewayOf mesh.GatewayOf  `json:"gatewayOf,omitempty"` // CLUSTER/NAMESPACE/NAME of the Gateway that it is, which needs no vouching by name
}

// CreateBoundJoinToken creates a token for one workload's first certificate. judged is
// the service's revision by which the workload is one of it, 0 of what is no service:
// once that is another, the answer is a conflict with [mesh.ReasonStale].
func (c *Client) CreateBoundJoinToken(ctx context.Context, of mesh.Identity, to Bound, judged int64, description string, ttl time.Duration) (token Token, secret string, err error) {
	return c.createToken(ctx, newJoinToken{of, description, ttl, 1, &to, judged}.body())
}

// CreateJoinToken creates a token with which a service's workloads, gateways or
// AuthZ services get their first certificate: uses of them, within ttl; 0 is the
// server's default.
func (c *Client) CreateJoinToken(ctx context.Context, of mesh.Identity, description string, ttl time.Duration, uses int) (token Token, secret string, err error) {
	return c.createToken(ctx, newJoinToken{of, description, ttl, uses, nil, 0}.body())
}

// newJoinToken is what a join token is to be.
type newJoinToken struct {
	of          mesh.Identity
	description string
	ttl         time.Duration
	uses        int
	bound       *Bound
	judged      int64
}

func (n newJoinToken) body() any {
	body := struct {
		Kind        string           `json:"kind"`
		Service     mesh.ServiceName `json:"service,omitempty"`
		Gateway     mesh.ServiceName `json:"gateway,omitempty"`
		Authz       bool             `json:"authz,omitempty"`
		Description string           `json:"description,omitempty"`
		TTL         mesh.Duration    `json:"ttl,omitempty"`
		Uses        int              `json:"uses,omitempty"`
		Bound       *Bound           `json:"bound,omitempty"`
		Judged      int64            `json:"serviceRevision,omitempty"`
	}{Kind: "join", Authz: n.of.Kind == mesh.AuthzIdentity, Description: n.description, TTL: mesh.Duration(n.ttl), Uses: n.uses, Bound: n.bound, Judged: n.judged}
	if n.of.Kind == mesh.GatewayIdentity {
		body.Gateway = n.of.Name
	} else {
		body.Service = n.of.Name
	}
	return body
}
