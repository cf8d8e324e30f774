package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// VMs lists the virtual machines that sources of discovery found; source "": of all.
func (c *Client) VMs(ctx context.Context, source string) (mesh.VMList, error) {
	r := request{method: http.MethodGet, segments: []string{"api", "vms"}}
	if source != "" {
		r.query = url.Values{"source": {source}}
	}
	var out mesh.VMList
	err := c.do(ctx, r, &out)
	return out, err
}

// Discovery tells how the sources of virtual machines do.
func (c *Client) Discovery(ctx context.Context) (mesh.Discovery, error) {
	var out mesh.Discovery
	err := c.do(ctx, request{method: http.MethodGet, segments: []string{"api", "discovery"}}, &out)
	return out, err
}

// ForgetSource has a source forgotten that no server refreshes any more; while one does
// the answer is a conflict. With a scope it is that part alone, and a conflict
// while a server lists it or it is throttled, unless it is forced.
func (c *Client) ForgetSource(ctx context.Context, source, scope string, force bool) error {
	r := request{method: http.MethodDelete, segments: api("discovery", source)}
	if scope != "" {
		r.query = url.Values{"scope": {scope}}
		if force {
			r.query.Set("force", "true")
		}
	}
	return c.do(ctx, r, nil)
}

// RefreshSource asks for a refresh of a source, which is done once [mesh.DiscoverySource]
// has it answered.
func (c *Client) RefreshSource(ctx context.Context, source string) (mesh.DiscoveryAsked, error) {
	var out mesh.DiscoveryAsked
	err := c.do(ctx, request{method: http.MethodPost, segments: api("discovery", source, "refresh")}, &out)
	return out, err
}
