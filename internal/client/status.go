package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What the server tells of proxies.
type (
	Proxy     = mesh.ProxyStream
	ProxyType = mesh.ProxyType
	Rejection = mesh.Rejection
	Origin    = mesh.Origin
)

// Problem is something wrong in the mesh that no single write was refused for.
type Problem struct {
	Object  string `json:"object"` // e.g. "service/orders"
	Message string `json:"message"`
}

// Token is what is known of an access token; never its secret.
type Token struct {
	ID            string           `json:"id"`
	Kind          string           `json:"kind,omitempty"` // "", "join", "instances" or "keeper"
	Description   string           `json:"description,omitempty"`
	Service       mesh.ServiceName `json:"service,omitempty"` // "" may write everything, or what the owners have
	Owners        []string         `json:"owners,omitempty"`  // without a service: whose things may be written; with one: its owner when the token was made
	CreatedAt     time.Time        `json:"createdAt,omitzero"`
	Author        string           `json:"author,omitempty"`
	Keeper        mesh.Keeper      `json:"keeper,omitempty"` // of a keeper's token
	Vouches       []string         `json:"vouches,omitempty"`
	VouchGateways bool             `json:"vouchGateways,omitempty"`

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

// ProxyConfig tells what one connected proxy has, up to the end of the list or the
// limit of q. What comes behind it is asked for with After.
func (c *Client) ProxyConfig(ctx context.Context, q mesh.ProxyQuery) (mesh.ProxyConfig, error) {
	query := url.Values{"content": {strconv.FormatBool(q.Content)}}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("type", q.Type)
	set("name", q.Name)
	set("after", q.After)
	if q.Differ {
		query.Set("diff", "true")
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	var out mesh.ProxyConfig
	err := c.do(ctx, request{method: http.MethodGet, segments: api("proxies", q.Node, "config"), query: query}, &out)
	return out, err
}

// Problems lists what is wrong in the mesh.
func (c *Client) Problems(ctx context.Context) ([]Problem, error) {
	var out page[Problem]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("problems")}, &out)
	return out.Items, err
}

// Warnings lists what is allowed in the mesh and may go wrong.
func (c *Client) Warnings(ctx context.Context) ([]mesh.Warning, error) {
	var out page[mesh.Warning]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("warnings")}, &out)
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

// Vouching is for whom a keeper's token makes join tokens besides the keeper's services.
type Vouching struct {
	Identities []string `json:"vouches,omitempty"`       // such as gateway/edge
	Gateways   bool     `json:"vouchGateways,omitempty"` // those that Gateways of its clusters are
}

// CreateKeeperToken creates a token for what a keeper and those below it have, and
// gives its secret.
func (c *Client) CreateKeeperToken(ctx context.Context, keeper mesh.Keeper, description string, vouches Vouching) (token Token, secret string, err error) {
	return c.createToken(ctx, struct {
		Kind        string      `json:"kind"`
		Keeper      mesh.Keeper `json:"keeper"`
		Description string      `json:"description"`
		Vouching
	}{"keeper", keeper, description, vouches})
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
