package grpcapi

import (
	"context"
	"path"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// auditRefused notes that a caller was refused what it has no right to.
func (a *API) auditRefused(ctx context.Context, method string, request any, err error) {
	if code := status.Code(err); code != codes.Unauthenticated && code != codes.PermissionDenied {
		return
	}
	name := shorten(nameOf(request))
	entry := mesh.AuditEntry{
		Action: path.Base(method), Object: "service/" + name, Service: mesh.ServiceName(name), Reason: status.Convert(err).Message(),
		From: remote(ctx), Source: source, RequestID: shorten(requestID(request)),
	}
	if token, err := a.authenticate(ctx); err == nil { // it was read a moment ago, and is not read again
		entry.Author = authorOf(token)
	}
	a.registry.Refused(ctx, entry)
}

// nameOf is the service that a request is about.
func nameOf(request any) string {
	switch r := request.(type) {
	case interface{ GetName() string }:
		return r.GetName()
	case interface{ GetService() *heddlev1.Service }:
		return r.GetService().GetName()
	case interface{ GetUpstream() *heddlev1.Upstream }:
		return r.GetUpstream().GetName()
	}
	return ""
}
