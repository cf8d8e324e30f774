package client

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Progress tells how far the proxies have come that need a service or a route.
func (c *Client) Progress(ctx context.Context, noun, name string) (mesh.Progress, error) {
	var out mesh.Progress
	err := c.do(ctx, request{method: http.MethodGet, segments: api(noun+"s", name, "progress")}, &out)
	return out, err
}
