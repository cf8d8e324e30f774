package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// admin is the scope of what belongs to no single service.
const admin mesh.ServiceName = ""

// authenticate finds the token of a request, and notes it in call.
func (s *Server) authenticate(ctx context.Context, call *Call) (registry.Token, error) {
	values := call.request.Header.Values("Authorization")
	if len(values) == 0 {
		return registry.Token{}, unauthorized("this needs an access token: send the header \"Authorization: Bearer <token>\"; the server printed the first token when it first started, and \"heddle token create\" makes more")
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	secret = strings.TrimSpace(secret)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > 512 {
		return registry.Token{}, unauthorized("the Authorization header is not of the form \"Bearer <token>\"")
	}
	token, err := s.cfg.Registry.Authenticate(ctx, secret)
	if mesh.KindOf(err) == mesh.KindDenied {
		return registry.Token{}, unauthorized("the access token is not known, or was revoked")
	}
	if err == nil {
		call.by = token
	}
	return token, err
}

// knows says whether a call that needs no token came with one: those who did do not wait
// for strangers.
func (s *Server) knows(ctx context.Context, call *Call) bool {
	if len(call.request.Header.Values("Authorization")) == 0 {
		return false
	}
	_, err := s.authenticate(ctx, call)
	return err == nil
}

func unauthorized(detail string) error {
	p := newProblem(http.StatusUnauthorized, detail)
	p.header.Set("WWW-Authenticate", `Bearer realm="heddle"`)
	return p
}

// allow makes sure that the token may write instances of the services, or what
// belongs to no service for [admin], as far as the token alone can tell: what an
// owner's token may is judged by the registry, which knows whose everything is.
func allow(token registry.Token, scopes ...mesh.ServiceName) error {
	if token.Service == "" {
		return nil
	}
	for _, scope := range scopes {
		switch scope {
		case token.Service:
		case admin:
			return mesh.Denied("the access token is limited to service %q; this needs one that is not limited", token.Service)
		default:
			return mesh.Denied("the access token is limited to service %q and may not write service %s", token.Service, shown(string(scope)))
		}
	}
	return nil
}

// declarer finds whose token it is that writes a declaration, and makes sure of it and of
// the name in the path, in this order.
func (s *Server) declarer(ctx context.Context, call *Call, scope mesh.ServiceName, nameFault error) (registry.Token, error) {
	token, err := s.authenticate(ctx, call)
	if err == nil {
		err = nameFault
	}
	if err == nil {
		err = allowDeclaration(token, scope)
	}
	return token, err
}

// allowDeclaration is allow for what is declared.
func allowDeclaration(token registry.Token, scope mesh.ServiceName) error {
	if token.Kind == registry.InstancesToken {
		return mesh.Denied("the access token is limited to the instances of service %q, and may write no declaration", token.Service)
	}
	return allow(token, scope)
}

// author names the token's holder in what is written; the gRPC API does it alike.
func author(token registry.Token) string {
	if strings.HasPrefix(token.ID, "spiffe://") { // see [Server.authenticateWorkload]
		return token.ID
	}
	return "token:" + token.ID
}

// authenticateWorkload finds the token of a request, or, in its place, takes the
// certificate of a connection as the right to write its service's instances.
func (s *Server) authenticateWorkload(ctx context.Context, call *Call) (registry.Token, error) {
	r := call.request
	if s.cfg.Identities == nil || r.TLS == nil || len(r.Header.Values("Authorization")) > 0 {
		return s.authenticate(ctx, call)
	}
	of, err := s.cfg.Identities.Client(r.TLS)
	if err != nil {
		return registry.Token{}, err
	}
	switch of.Kind {
	case "":
		return s.authenticate(ctx, call)
	case mesh.ServiceIdentity:
	default: // a right without a service would be one to write everything
		return registry.Token{}, mesh.Denied("the certificate of %s is no right to write", of.Phrase())
	}
	id, err := identity.ID(s.cfg.Identities.TrustDomain(), of.Identity)
	if err != nil {
		return registry.Token{}, err
	}
	call.by = registry.Token{ID: id.String(), Kind: registry.InstancesToken, Service: of.Name}
	return call.by, nil
}

// onlyReaders refuses reads of callers that show neither a token nor a certificate
// of the mesh.
func (s *Server) onlyReaders(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	err := s.reader(ctx.Context(), r)
	if err == nil {
		next(ctx)
		return
	}
	var p *refusal
	if errors.As(s.refuse(err), &p) {
		writeProblem(w, p)
	}
}

// Known says whether a request shows a token or a certificate of the mesh, whatever
// either may do.
func (s *Server) Known(r *http.Request) bool { return s.reader(r.Context(), r) == nil }

func (s *Server) reader(ctx context.Context, r *http.Request) error {
	if s.cfg.Identities != nil && r.TLS != nil && len(r.Header.Values("Authorization")) == 0 {
		if of, err := s.cfg.Identities.Client(r.TLS); err != nil || of.Identity != (mesh.Identity{}) {
			return err
		}
	}
	_, err := s.authenticate(ctx, &Call{request: r})
	return err
}
