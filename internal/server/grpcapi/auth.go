package grpcapi

import (
	"context"
	"path"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// maxCredential bounds what is hashed for a caller that is not known yet.
const maxCredential = 512

// authenticate finds the token of a call. Its error is a gRPC status, or one of
// the model's for what is no fault of the caller.
func (a *API) authenticate(ctx context.Context) (registry.Token, error) {
	given := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(given) != 1 {
		return registry.Token{}, unauthenticated("you need one metadata entry \"authorization: Bearer TOKEN\"; heddle token create makes one")
	}
	scheme, secret, _ := strings.Cut(given[0], " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > maxCredential {
		return registry.Token{}, unauthenticated("the metadata entry \"authorization\" has to read \"Bearer TOKEN\"; heddle token create makes one")
	}
	token, err := a.registry.Authenticate(ctx, secret)
	if mesh.KindOf(err) == mesh.KindDenied {
		return registry.Token{}, unauthenticated(err.Error())
	}
	return token, err
}

// Known says whether a call shows a token, whatever that may do.
func (a *API) Known(ctx context.Context) bool {
	_, err := a.authenticate(ctx)
	return err == nil
}

// authorOf names a caller in what it writes.
func authorOf(token registry.Token) string { return "token:" + token.ID }

func unauthenticated(message string) error {
	return status.Error(codes.Unauthenticated, shorten(message))
}

// mayRead refuses reads of callers that show neither a token nor a certificate of
// the mesh, if they need one. Writes see to it themselves.
func (a *API) mayRead(ctx context.Context, method string) error {
	name := path.Base(method)
	if !a.requireReader || !strings.HasPrefix(name, "Get") && !strings.HasPrefix(name, "List") && !strings.HasPrefix(name, "Watch") {
		return nil
	}
	if a.identities != nil && len(metadata.ValueFromIncomingContext(ctx, "authorization")) == 0 {
		of, err := a.identities.Peer(ctx)
		if err == nil && of != (mesh.Identity{}) {
			return nil
		}
	}
	_, err := a.authenticate(ctx)
	return a.refusal(ctx, err, codes.Aborted)
}

// told gives what tells a caller of services: their authors only to those whom the
// audit tells of them.
func (a *API) told(ctx context.Context) func(*mesh.Service) *mesh.Service {
	token, err := a.authenticate(ctx)
	return func(one *mesh.Service) *mesh.Service {
		if err == nil && token.MayRead(one.Name, []string{one.Owner}) {
			return one
		}
		out := *one
		out.Meta.Author = ""
		return &out
	}
}
