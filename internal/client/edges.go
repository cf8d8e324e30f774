package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Edges gives who calls whom as proxies saw it, of one caller or callee if it is given.
func (c *Client) Edges(ctx context.Context, service string) ([]mesh.Edge, error) {
	var out page[mesh.Edge]
	query := url.Values{}
	if service != "" {
		query.Set("service", service)
	}
	err := c.do(ctx, request{method: http.MethodGet, segments: api("edges"), query: query}, &out)
	return out.Items, err
}
