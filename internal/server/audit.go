package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// called gives the call to whoever has only a handler's input.
func (c *Call) called() *Call { return c }

// auditRefused notes that a caller was refused what it has no right to. Refusals
// of other kinds, such as of input that is wrong, are no matter of rights.
func (s *Server) auditRefused(ctx context.Context, o operation, call *Call, err error) {
	var p *refusal
	if !errors.As(err, &p) || p.Status != http.StatusUnauthorized && p.Status != http.StatusForbidden || call.request == nil {
		return
	}
	entry := mesh.AuditEntry{
		Action: o.id, Object: call.object, Service: call.service, Reason: p.Detail,
		From: call.request.RemoteAddr, Source: "rest", RequestID: shown(requestID(call.request)),
	}
	if entry.Object == "" {
		entry.Object = objectOf(shown(call.request.URL.Path))
	}
	if call.by.ID != "" {
		entry.Author = author(call.by)
	}
	s.cfg.Registry.Refused(ctx, entry)
}

// objectOf names what a path is of as the audit does: /api/v1/services/orders is
// service/orders.
func objectOf(path string) string {
	kind, rest, named := strings.Cut(strings.TrimPrefix(path, "/api/v1/"), "/")
	if kind == "identities" {
		kind = "identity"
	}
	kind = strings.TrimSuffix(kind, "s")
	if !named {
		return kind
	}
	return kind + "/" + rest
}

func (s *Server) auditOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/audit", tag: "audit", id: "listAudit", summary: "Who changed what, and who was refused to, newest first",
		description: "An admin sees all of it, an owner what is about its services and routes, a service's token what is about that service. Kept are the newest 10,000 entries of what was done and 1000 of what was refused, for 90 days at most. Leases that are renewed are in no entry, instances in the server's log alone.",
		token:       true,
	}, s.listAudit)
}

func (s *Server) listAudit(ctx context.Context, in *struct {
	Call
	Object  string            `query:"object" maxLength:"256" doc:"Only what is about this object; with a slash at the end, about all of a kind." example:"service/orders"`
	Author  string            `query:"author" maxLength:"256" doc:"Only what this token or certificate did." example:"token:4f2a9c81d0e3"`
	Outcome mesh.AuditOutcome `query:"outcome" enum:"done,refused" doc:"Only what was done, or what was refused."`
	Since   string            `query:"since" maxLength:"64" doc:"Only what is not older (RFC 3339)." example:"2026-11-21T08:00:00Z"`
	Limit   int               `query:"limit" minimum:"1" maximum:"1000" doc:"How many at most; default 100."`
}) (*Listed[mesh.AuditEntry], error) {
	token, err := s.authenticate(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	query := registry.AuditQuery{
		Object: in.Object, Author: in.Author, Outcome: in.Outcome, Limit: in.Limit,
		Visible: func(e *mesh.AuditEntry) bool { return token.MayRead(e.Service, e.Owners) },
	}
	var faults mesh.Faults
	if in.Outcome != "" && in.Outcome != mesh.AuditDone && in.Outcome != mesh.AuditRefused {
		faults.Add("query.outcome", "has to be one of done, refused")
	}
	if in.Limit < 0 || in.Limit > registry.MostListed || in.Limit == 0 && in.request.URL.Query().Has("limit") {
		faults.Add("query.limit", "is not from 1 to %d", registry.MostListed)
	}
	if in.Since != "" {
		if query.Since, err = time.Parse(time.RFC3339, in.Since); err != nil {
			faults.Add("query.since", "is no moment such as 2026-11-21T08:00:00Z (RFC 3339)")
		}
	}
	if err := mesh.Invalid("the request's parameters are wrong", faults); err != nil {
		return nil, err
	}
	entries, err := s.cfg.Registry.Audit(ctx, query)
	if err != nil {
		return nil, err
	}
	return listed(entries, 0), nil
}
