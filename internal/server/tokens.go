package server

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// NewToken is the body of a request for a token.
type NewToken struct {
	Kind        registry.TokenKind `json:"kind,omitempty" enum:"join" doc:"join: the right to get an identity, of the service or of what is said in its place, and nothing else. Left out: the right to write."`
	Service     mesh.ServiceName   `json:"service,omitempty" doc:"The token may write this service's declaration and its instances only; left out, everything. A join token is for workloads of this service." example:"orders"`
	Gateway     mesh.ServiceName   `json:"gateway,omitempty" doc:"Of a join token: it is for gateways of this name, instead of a service." example:"edge"`
	Authz       bool               `json:"authz,omitempty" doc:"Of a join token: it is for AuthZ services that run apart (heddle authz), instead of a service."`
	Description string             `json:"description,omitempty" maxLength:"1024" doc:"What it is for."`
	TTL         mesh.Duration      `json:"ttl,omitempty" doc:"Of a join token: how long it may be used, 1s to 168h; default 10m."`
	Uses        int                `json:"uses,omitempty" minimum:"1" maximum:"1000" doc:"Of a join token: how many workloads may join with it; default 1."`
}

// CreatedToken is a token and its secret, which is shown this once.
type CreatedToken struct {
	registry.Token
	Secret string `json:"secret" doc:"Send it as \"Authorization: Bearer <secret>\". It cannot be had again. A join token's ends with the pin of the mesh's root certificate, by which its user knows the server."`
}

func (s *Server) tokenOperations() {
	const path, tag = "/api/v1/tokens", "tokens"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "listTokens", summary: "List the access tokens, without their secrets", token: true}, s.listTokens)
	register(s, operation{
		method: http.MethodPost, path: path, tag: tag, id: "createToken", summary: "Create an access token",
		status: http.StatusCreated, body: NewToken{}, example: `{"service":"orders","description":"sidecars of orders"}`, token: true,
	}, s.createToken)
	register(s, operation{
		method: http.MethodDelete, path: path + "/{id}", tag: tag, id: "revokeToken", summary: "End an access token",
		description: "It is refused everywhere within a second.",
		status:      http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound},
	}, s.revokeToken)
}

func (s *Server) admin(ctx context.Context, call *Call) (registry.Token, error) {
	token, err := s.authenticate(ctx, call.request)
	if err != nil {
		return token, err
	}
	return token, allow(token, admin)
}

func (s *Server) listTokens(ctx context.Context, in *struct{ Call }) (*Listed[registry.Token], error) {
	if _, err := s.admin(ctx, &in.Call); err != nil {
		return nil, err
	}
	all, err := s.cfg.Registry.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	return listed(all, 0), nil
}

type createdTokenAnswer struct {
	Body CreatedToken
}

func (s *Server) createToken(ctx context.Context, in *struct{ Call }) (*createdTokenAnswer, error) {
	token, err := s.admin(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	data, err := in.body()
	if err != nil {
		return nil, err
	}
	var wanted NewToken
	if err := decode(data, &wanted); err != nil {
		return nil, err
	}
	if wanted.Service == "" && given(data, "service") {
		// A script's empty variable must not make a token for everything.
		return nil, fault("service", "is empty: name a service, or leave the field out for a token that may write everything")
	}
	if strings.ContainsFunc(wanted.Description, unicode.IsControl) {
		return nil, fault("description", "has control characters")
	}
	created, secret, err := s.newToken(ctx, wanted, registry.Token{Service: wanted.Service, Gateway: wanted.Gateway, Authz: wanted.Authz, Description: wanted.Description, Author: author(token)})
	if err != nil {
		return nil, err
	}
	s.audit("a token was created", "token", created.ID, "kind", created.Kind, "service", created.Service, "for", created.Identity().String(), "author", created.Author)
	return &createdTokenAnswer{Body: CreatedToken{Token: created, Secret: secret}}, nil
}

func (s *Server) newToken(ctx context.Context, wanted NewToken, token registry.Token) (registry.Token, string, error) {
	switch wanted.Kind {
	case "":
		if wanted.TTL != 0 || wanted.Uses != 0 || wanted.Gateway != "" || wanted.Authz {
			return token, "", fault("kind", "is missing: gateway, authz, ttl and uses are of join tokens")
		}
		return s.cfg.Registry.CreateToken(ctx, token)
	case registry.JoinToken:
		if s.cfg.Identities == nil {
			return token, "", noIdentities()
		}
		token.Uses = wanted.Uses
		created, secret, err := s.cfg.Registry.CreateJoinToken(ctx, token, wanted.TTL.Std())
		return created, identity.FormatJoinToken(secret, s.cfg.Identities.Pin()), err
	}
	return token, "", fault("kind", "is not one of: join")
}

func (s *Server) revokeToken(ctx context.Context, in *struct {
	Call
	ID string `path:"id" maxLength:"64" doc:"The token's ID, as the list shows it." example:"4f2a9c81d0e3"`
}) (*Nothing, error) {
	token, err := s.admin(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Registry.RevokeToken(ctx, in.ID); err != nil {
		return nil, err
	}
	s.audit("a token was revoked", "token", in.ID, "author", author(token))
	return &Nothing{}, nil
}
