package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Explain asks whether a call arrives: from is a service, SERVICE/INSTANCE or
// gateway/NAME, and what the request leaves out has its default.
func (c *Client) Explain(ctx context.Context, from, to string, r mesh.ExplainedRequest) (mesh.Explanation, error) {
	query := url.Values{"from": {from}, "to": {to}}
	for name, value := range map[string]string{"method": r.Method, "path": r.Path, "host": r.Host, "scheme": r.Scheme} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, value := range r.Headers {
		query.Add("header", name+"="+value)
	}
	var out mesh.Explanation
	err := c.do(ctx, request{method: http.MethodGet, segments: api("explain"), query: query}, &out)
	return out, err
}

// Plan asks what changes would change in the configuration of proxies.
func (c *Client) Plan(ctx context.Context, r mesh.PlanRequest) (mesh.Plan, error) {
	var out mesh.Plan
	err := c.do(ctx, request{method: http.MethodPost, segments: api("plan"), body: r}, &out)
	return out, err
}

// DeletionImpact asks who would feel the deletion of a service.
func (c *Client) DeletionImpact(ctx context.Context, name mesh.ServiceName) (mesh.Impact, error) {
	var out mesh.Impact
	err := c.do(ctx, request{method: http.MethodGet, segments: api("services", string(name), "impact")}, &out)
	return out, err
}

// ChangeImpact asks who would feel a change of a service.
func (c *Client) ChangeImpact(ctx context.Context, s mesh.Service) (mesh.Impact, error) {
	var out mesh.Impact
	err := c.do(ctx, request{method: http.MethodPost, segments: api("impact"), body: s}, &out)
	return out, err
}
