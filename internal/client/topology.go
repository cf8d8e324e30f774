package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Topology gives the picture of the mesh; with a focus, what is up to depth calls
// away from it. With layout, nodes and edges have their places.
func (c *Client) Topology(ctx context.Context, focus string, depth int, layout bool) (mesh.Topology, error) {
	query := url.Values{}
	if focus != "" {
		query.Set("focus", focus)
		query.Set("depth", strconv.Itoa(depth))
	}
	if layout {
		query.Set("layout", "true")
	}
	var out mesh.Topology
	err := c.do(ctx, request{method: http.MethodGet, segments: api("topology"), query: query}, &out)
	return out, err
}
