package client

import (
	"context"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Proxy is one stream of one connected proxy.
type Proxy struct {
	Node      string           `json:"node"` // "<service>/<instance>"
	Service   mesh.ServiceName `json:"service,omitempty"`
	Instance  mesh.InstanceID  `json:"instance,omitempty"`
	Scope     string           `json:"scope,omitempty"`     // what it is sent; proxies of one profile share it
	Address   string           `json:"address,omitempty"`   // its end of the connection
	Transport string           `json:"transport,omitempty"` // delta, sotw or one of the separate services
	Connected time.Time        `json:"connected,omitzero"`  // since when
	Types     []ProxyType      `json:"types,omitempty"`
}

// ProxyType is how far a proxy has come with one type of resource.
type ProxyType struct {
	Type         string     `json:"type"`                   // the type URL
	Sent         string     `json:"sent,omitempty"`         // version sent last
	Acknowledged string     `json:"acknowledged,omitempty"` // version accepted last
	Rejections   uint64     `json:"rejections,omitempty"`   // how many answers were refused (NACKs)
	Rejected     *Rejection `json:"rejected,omitempty"`     // the last one
	BehindSince  time.Time  `json:"behindSince,omitzero"`   // left out: it has everything
}

// Rejection is an answer that a proxy refused (a NACK).
type Rejection struct {
	Message string    `json:"message"`
	At      time.Time `json:"at,omitzero"`
	Version string    `json:"version,omitempty"`
	Objects []Origin  `json:"objects,omitempty"` // the declarations behind what was refused
}

// Origin is the declaration that a resource follows from.
type Origin struct {
	Object   string `json:"object"` // e.g. "service/orders"
	Author   string `json:"author,omitempty"`
	Revision int64  `json:"revision,omitempty"`
}

// Problem is something wrong in the mesh that no single write was refused for.
type Problem struct {
	Object  string `json:"object"` // e.g. "service/orders"
	Message string `json:"message"`
}

// Token is what is known of an access token; never its secret.
type Token struct {
	ID          string           `json:"id"`
	Kind        string           `json:"kind,omitempty"` // "", "join" or "instances"
	Description string           `json:"description,omitempty"`
	Service     mesh.ServiceName `json:"service,omitempty"` // "" may write everything, or what the owners have
	Owners      []string         `json:"owners,omitempty"`  // without a service: whose things may be written; with one: its owner when the token was made
	CreatedAt   time.Time        `json:"createdAt,omitzero"`
	Author      string           `json:"author,omitempty"`

	// Of join tokens alone.
	Gateway   mesh.ServiceName `json:"gateway,omitempty"`
	Authz     bool             `json:"authz,omitempty"`
	ExpiresAt time.Time        `json:"expiresAt,omitzero"`
	Uses      int              `json:"uses,omitempty"`
	Used      int              `json:"used,omitempty"`
}

// Version is what runs.
type Version struct {
	Version string `json:"version"`
}

// Proxies lists the proxies by node.
func (c *Client) Proxies(ctx context.Context) ([]Proxy, error) {
	var out page[Proxy]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("proxies")}, &out)
	return out.Items, err
}

// Problems lists what is wrong in the mesh.
func (c *Client) Problems(ctx context.Context) ([]Problem, error) {
	var out page[Problem]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("problems")}, &out)
	return out.Items, err
}

// Authorizers gives the addresses, host:port, of the AuthZ services.
func (c *Client) Authorizers(ctx context.Context) ([]string, error) {
	var out page[struct {
		Address string `json:"address"`
	}]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("authorizers")}, &out)
	var addresses []string
	for _, one := range out.Items {
		addresses = append(addresses, one.Address)
	}
	return addresses, err
}

// Tokens lists the access tokens.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var out page[Token]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("tokens")}, &out)
	return out.Items, err
}

// CreateToken creates a token and gives its secret, which cannot be had again.
// service "" makes a token that may write everything.
func (c *Client) CreateToken(ctx context.Context, service mesh.ServiceName, description string) (token Token, secret string, err error) {
	body := struct {
		Service     mesh.ServiceName `json:"service,omitempty"`
		Description string           `json:"description,omitempty"`
	}{service, description}
	return c.createToken(ctx, body)
}

// CreateOwnersToken creates a token for what these owners have, and gives its secret.
func (c *Client) CreateOwnersToken(ctx context.Context, owners []string, description string) (token Token, secret string, err error) {
	return c.createToken(ctx, map[string]any{"owners": owners, "description": description})
}

// CreateInstancesToken creates a token for the instances of a service, and gives its secret.
func (c *Client) CreateInstancesToken(ctx context.Context, service mesh.ServiceName, description string) (token Token, secret string, err error) {
	return c.createToken(ctx, map[string]any{"kind": "instances", "service": service, "description": description})
}

func (c *Client) createToken(ctx context.Context, body any) (token Token, secret string, err error) {
	var out struct {
		Token
		Secret string `json:"secret"`
	}
	err = c.do(ctx, request{method: http.MethodPost, segments: api("tokens"), body: body}, &out)
	return out.Token, out.Secret, err
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, segments: api("tokens", id)}, nil)
}

// Ready asks whether the server serves; [mesh.KindUnavailable] says why not.
func (c *Client) Ready(ctx context.Context) error {
	return c.do(ctx, request{method: http.MethodGet, segments: []string{"readyz"}}, nil)
}

// Version asks what the server runs.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var out Version
	err := c.do(ctx, request{method: http.MethodGet, segments: api("version")}, &out)
	return out, err
}
