package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Approval is a caller of a service that takes calls from approved callers only.
type Approval struct {
	Callee      mesh.ServiceName `json:"callee"`
	Caller      string           `json:"caller"` // a service, or gateway/NAME
	State       string           `json:"state"`  // approved, pending or refused
	Declared    bool             `json:"declared"`
	Owner       string           `json:"owner"` // the callee's
	CallerOwner string           `json:"callerOwner,omitempty"`
}

// Approvals lists the approvals, those of one callee if it is given.
func (c *Client) Approvals(ctx context.Context, callee string) ([]Approval, error) {
	var out page[Approval]
	query := url.Values{}
	if callee != "" {
		query.Set("callee", callee)
	}
	err := c.do(ctx, request{method: http.MethodGet, segments: api("approvals"), query: query}, &out)
	return out.Items, err
}

// Approve lets a caller in.
func (c *Client) Approve(ctx context.Context, callee, caller string) (Approval, error) {
	var out Approval
	err := c.do(ctx, request{method: http.MethodPut, segments: api("services", callee, "callers", caller)}, &out)
	return out, err
}

// RefuseCaller says that a caller is not wanted.
func (c *Client) RefuseCaller(ctx context.Context, callee, caller string) (Approval, error) {
	var out Approval
	err := c.do(ctx, request{method: http.MethodPut, segments: api("services", callee, "callers", caller, "refusal")}, &out)
	return out, err
}

// RevokeApproval takes an approval or a refusal back.
func (c *Client) RevokeApproval(ctx context.Context, callee, caller string) error {
	return c.do(ctx, request{method: http.MethodDelete, segments: api("services", callee, "callers", caller)}, nil)
}

// AuditQuery says which entries of the audit are wanted; zero values are no limits.
type AuditQuery struct {
	Object  string
	Author  string
	Outcome string
	Since   time.Time
	Limit   int // 0: the server's default
}

// Audit gives who changed what, newest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery) ([]mesh.AuditEntry, error) {
	query := url.Values{}
	for name, value := range map[string]string{"object": q.Object, "author": q.Author, "outcome": q.Outcome} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.UTC().Format(time.RFC3339))
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	var out page[mesh.AuditEntry]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("audit"), query: query}, &out)
	return out.Items, err
}
