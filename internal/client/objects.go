package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Service is a declared service and what follows from the rest of the mesh.
type Service struct {
	mesh.Service
	Status ServiceStatus `json:"status,omitzero"`
}

// ServiceStatus is what the server adds to a declaration.
type ServiceStatus struct {
	Pending []mesh.ServiceName `json:"pending,omitempty"` // declared dependencies that nobody has declared as a service yet
	// Refused are declared dependencies whose owners have refused the service.
	Refused []mesh.ServiceName `json:"refused,omitempty"`
	// Unapproved are declared dependencies whose owners have not approved the service.
	Unapproved []mesh.ServiceName `json:"unapproved,omitempty"`
	Warnings   []mesh.Warning     `json:"warnings,omitempty"` // what is allowed and may go wrong
}

// page is a list as it travels.
type page[T any] struct {
	Items    []T   `json:"items"`
	Revision int64 `json:"revision"`
}

func api(segments ...string) []string { return append([]string{"api", "v1"}, segments...) }

// PutService creates the service or replaces it. With s.Meta.Revision > 0 it
// replaces that revision only, else the answer is a conflict.
func (c *Client) PutService(ctx context.Context, s mesh.Service) (Service, error) {
	var out Service
	err := c.do(ctx, request{method: http.MethodPut, segments: api("services", string(s.Name)), body: s, revision: s.Meta.Revision}, &out)
	return out, err
}

// CreateService creates the service; one that exists is a conflict.
func (c *Client) CreateService(ctx context.Context, s mesh.Service) (Service, error) {
	s.Meta = mesh.Meta{}
	var out Service
	err := c.do(ctx, request{method: http.MethodPost, segments: api("services"), body: s}, &out)
	return out, err
}

// Service gets one service.
func (c *Client) Service(ctx context.Context, name mesh.ServiceName) (Service, error) {
	var out Service
	err := c.do(ctx, request{method: http.MethodGet, segments: api("services", string(name))}, &out)
	return out, err
}

// Services lists the services by name.
func (c *Client) Services(ctx context.Context) ([]Service, error) {
	var out page[Service]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("services")}, &out)
	return out.Items, err
}

// ForceDeleteService is DeleteService also for one that others depend on.
func (c *Client) ForceDeleteService(ctx context.Context, name mesh.ServiceName, revision int64) error {
	return c.do(ctx, request{method: http.MethodDelete, segments: api("services", string(name)), query: url.Values{"force": {"true"}}, revision: revision}, nil)
}

// DeleteService deletes the service; with revision > 0 that revision only. For one
// that others depend on the answer is a conflict, with [mesh.ReasonDependents].
func (c *Client) DeleteService(ctx context.Context, name mesh.ServiceName, revision int64) error {
	return c.do(ctx, request{method: http.MethodDelete, segments: api("services", string(name)), revision: revision}, nil)
}

// ReleaseService takes a service out of its keeper's hands, or into those of to if
// it is given.
func (c *Client) ReleaseService(ctx context.Context, name mesh.ServiceName, to mesh.Keeper) (Service, error) {
	var out Service
	err := c.do(ctx, request{method: http.MethodPost, segments: api("services", string(name), "release"), body: release{to}}, &out)
	return out, err
}

// ReleaseRoute is ReleaseService of a route.
func (c *Client) ReleaseRoute(ctx context.Context, name mesh.RouteName, to mesh.Keeper) (mesh.Route, error) {
	var out mesh.Route
	err := c.do(ctx, request{method: http.MethodPost, segments: api("routes", string(name), "release"), body: release{to}}, &out)
	return out, err
}

type release struct {
	To mesh.Keeper `json:"to,omitempty"`
}

// PutRoute creates the route or replaces it, like PutService.
func (c *Client) PutRoute(ctx context.Context, r mesh.Route) (mesh.Route, error) {
	var out mesh.Route
	err := c.do(ctx, request{method: http.MethodPut, segments: api("routes", string(r.Name)), body: r, revision: r.Meta.Revision}, &out)
	return out, err
}

// CreateRoute creates the route; one that exists is a conflict.
func (c *Client) CreateRoute(ctx context.Context, r mesh.Route) (mesh.Route, error) {
	r.Meta = mesh.Meta{}
	var out mesh.Route
	err := c.do(ctx, request{method: http.MethodPost, segments: api("routes"), body: r}, &out)
	return out, err
}

// Route gets one route.
func (c *Client) Route(ctx context.Context, name mesh.RouteName) (mesh.Route, error) {
	var out mesh.Route
	err := c.do(ctx, request{method: http.MethodGet, segments: api("routes", string(name))}, &out)
	return out, err
}

// Routes lists the routes by name.
func (c *Client) Routes(ctx context.Context) ([]mesh.Route, error) {
	var out page[mesh.Route]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("routes")}, &out)
	return out.Items, err
}

// DeleteRoute deletes the route; with revision > 0 that revision only.
func (c *Client) DeleteRoute(ctx context.Context, name mesh.RouteName, revision int64) error {
	return c.do(ctx, request{method: http.MethodDelete, segments: api("routes", string(name)), revision: revision}, nil)
}

// Runtime gets the runtime layer of all proxies; never set, it is empty with revision 0.
func (c *Client) Runtime(ctx context.Context) (mesh.Runtime, error) {
	var out mesh.Runtime
	err := c.do(ctx, request{method: http.MethodGet, segments: api("runtime")}, &out)
	return out, err
}

// CreateRuntime writes the runtime layer for the first time; one that was written
// before is a conflict.
func (c *Client) CreateRuntime(ctx context.Context, r mesh.Runtime) (mesh.Runtime, error) {
	r.Meta = mesh.Meta{}
	var out mesh.Runtime
	err := c.do(ctx, request{method: http.MethodPut, segments: api("runtime"), body: r, create: true}, &out)
	return out, err
}

// PutRuntime replaces the whole runtime layer; with r.Meta.Revision > 0 that revision only.
func (c *Client) PutRuntime(ctx context.Context, r mesh.Runtime) (mesh.Runtime, error) {
	var out mesh.Runtime
	err := c.do(ctx, request{method: http.MethodPut, segments: api("runtime"), body: r, revision: r.Meta.Revision}, &out)
	return out, err
}
