package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func (s *Server) revocationOperations() {
	const path, tag = "/api/v1/revocations", "identities"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "listRevocations", summary: "List whose certificates are revoked", token: true}, s.listRevocations)
	register(s, operation{
		method: http.MethodPost, path: path, tag: tag, id: "revokeIdentity", summary: "Revoke certificates",
		description: "Those of an identity, of all who joined until now, or those of one workload. They are not renewed, write no instances, open no xDS streams, and open ones end within seconds. The identity's join tokens end too. Until they expire, other proxies still take them.",
		status:      http.StatusCreated, body: mesh.Revocation{}, example: `{"of":"service/orders"}`, token: true,
	}, s.revokeIdentity)
	register(s, operation{
		method: http.MethodDelete, path: path + "/{kind}/{name}", tag: tag, id: "unrevokeIdentity", summary: "Take a revocation back",
		status: http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound},
	}, s.unrevokeIdentity)
}

// revoker finds a token without a limit.
func (s *Server) revoker(ctx context.Context, call *Call) (registry.Token, error) {
	token, err := s.authenticate(ctx, call)
	if err == nil && !token.Admin() {
		err = mesh.Denied("revocations need an access token that is not limited")
	}
	return token, err
}

func (s *Server) listRevocations(ctx context.Context, in *struct{ Call }) (*Listed[mesh.Revocation], error) {
	if _, err := s.revoker(ctx, &in.Call); err != nil {
		return nil, err
	}
	all, err := s.cfg.Registry.Revocations(ctx)
	if err != nil {
		return nil, err
	}
	return listed(all, 0), nil
}

type revocationAnswer struct {
	Body mesh.Revocation
}

func (s *Server) revokeIdentity(ctx context.Context, in *struct{ Call }) (*revocationAnswer, error) {
	token, err := s.revoker(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	if s.cfg.Identities == nil {
		return nil, noIdentities()
	}
	var wanted mesh.Revocation
	if err := in.decode(&wanted); err != nil {
		return nil, err
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	made, err := s.cfg.Registry.Revoke(ctx, wanted.Of, write)
	if err != nil {
		return nil, err
	}
	return &revocationAnswer{made}, nil
}

func (s *Server) unrevokeIdentity(ctx context.Context, in *struct {
	Call
	Kind string `path:"kind" maxLength:"64" doc:"service, gateway, heddle or workload." example:"service"`
	Name string `path:"name" maxLength:"64" doc:"Which one." example:"orders"`
}) (*Nothing, error) {
	token, err := s.revoker(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	return &Nothing{}, s.cfg.Registry.Unrevoke(ctx, in.Kind+"/"+in.Name, write)
}
