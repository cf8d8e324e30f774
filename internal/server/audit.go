package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
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
