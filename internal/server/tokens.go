package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// NewToken is the body of a request for a token.
type NewToken struct {
	Kind          registry.TokenKind `json:"kind,omitempty" enum:"join,instances,keeper" doc:"join: the right to get an identity, of the service or of what is said in its place, and nothing else. instances: the right to write the service's instances, and nothing else. keeper: the right of an outside source, such as a Kubernetes cluster, to write what it keeps, and nothing else. Left out: the right to write."`
	Service       mesh.ServiceName   `json:"service,omitempty" doc:"The token may write this service's declaration and its instances only; left out, everything. A join token is for workloads of this service. Required for instances." example:"orders"`
	Owners        []string           `json:"owners,omitempty" nullable:"false" doc:"Instead of a service: the token may write the services and routes of these owners, the instances of those services and their tokens, and hand over from one of them to another." example:"team-shop"`
	Keeper        mesh.Keeper        `json:"keeper,omitempty" doc:"Of a keeper's token: it writes as this keeper, and as those below it." example:"kubernetes/prod"`
	Vouches       []string           `json:"vouches,omitempty" nullable:"false" doc:"Of a keeper's token: gateways (gateway/NAME) and AuthZ services (heddle/authz) that it may make join tokens of, for one use each, besides those of its services." example:"gateway/edge"`
	VouchGateways bool               `json:"vouchGateways,omitempty" doc:"Of a token for a whole Kubernetes cluster: it may do so too of the gateways that Gateways of the Gateway API are there (bound.gatewayOf)."`
	Gateway       mesh.ServiceName   `json:"gateway,omitempty" doc:"Of a join token: it is for gateways of this name, instead of a service." example:"edge"`
	Authz         bool               `json:"authz,omitempty" doc:"Of a join token: it is for AuthZ services that run apart (heddle authz), instead of a service."`
	Description   string             `json:"description,omitempty" maxLength:"1024" doc:"What it is for."`
	TTL           mesh.Duration      `json:"ttl,omitempty" doc:"Of a join token: how long it may be used, 1s to 168h; default 10m."`
	Bound         *registry.Bound    `json:"bound,omitempty" doc:"Of a join token: the one workload that it is for. What is left out does not matter."`
	Judged        int64              `json:"serviceRevision,omitempty" minimum:"1" doc:"Of a join token: the revision of the service by which it was judged that the workload is one of it. Once the service has another, 409 with reason stale_revision." example:"42"`
	Uses          int                `json:"uses,omitempty" minimum:"1" maximum:"1000" doc:"Of a join token: how many workloads may join with it; default 1."`
}

// CreatedToken is a token and its secret, which is shown this once.
type CreatedToken struct {
	registry.Token
	Secret string `json:"secret" doc:"Send it as \"Authorization: Bearer <secret>\". It cannot be had again. A join token's ends with the pin of the mesh's root certificate, by which its user knows the server."`
}

func (s *Server) tokenOperations() {
	const path, tag = "/api/v1/tokens", "tokens"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "listTokens", summary: "List the access tokens, without their secrets", description: "An owner's token sees those of the owner's services.", token: true}, s.listTokens)
	register(s, operation{
		method: http.MethodPost, path: path, tag: tag, id: "createToken", summary: "Create an access token",
		status: http.StatusCreated, body: NewToken{}, example: `{"service":"orders","description":"sidecars of orders"}`, token: true, refusals: []int{http.StatusConflict},
	}, s.createToken)
	register(s, operation{
		method: http.MethodDelete, path: path + "/{id}", tag: tag, id: "revokeToken", summary: "End an access token",
		description: "It is refused everywhere within a second.",
		status:      http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound},
	}, s.revokeToken)
}

// minter finds a token that is not limited to one service: an admin's or an owner's.
func (s *Server) minter(ctx context.Context, call *Call) (registry.Token, error) {
	return s.declarer(ctx, call, admin, nil)
}

func (s *Server) listTokens(ctx context.Context, in *struct{ Call }) (*Listed[registry.Token], error) {
	by, err := s.minter(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Registry.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	if by.Admin() {
		return listed(all, 0), nil
	}
	services, _, err := s.cfg.Registry.Services(ctx)
	if err != nil {
		return nil, err
	}
	owned := map[mesh.ServiceName]bool{}
	for i := range services {
		owned[services[i].Name] = by.Owns(services[i].Owner)
	}
	all = slices.DeleteFunc(all, func(one registry.Token) bool { return !owned[one.Service] && one.ID != by.ID })
	return listed(all, 0), nil
}

type createdTokenAnswer struct {
	Body CreatedToken
}

func (s *Server) createToken(ctx context.Context, in *struct {
	Call
	SourceOfKeeper
	Keeper string `header:"X-Heddle-Keeper" doc:"In whose name a join token is made: kubernetes/CLUSTER. With X-Heddle-Keeper-Source it is made only while that is the source's." example:"kubernetes/prod"`
}) (*createdTokenAnswer, error) {
	token, err := s.minter(ctx, &in.Call)
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
	in.service = wanted.Service
	switch {
	case wanted.Service == "" && given(data, "service"):
		// A script's empty variable must not make a token for everything.
		return nil, fault("service", "is empty: name a service, or leave the field out for a token that may write everything")
	case len(wanted.Owners) == 0 && given(data, "owners"):
		return nil, fault("owners", "is empty: name an owner, or leave the field out for a token that may write everything")
	case len(wanted.Owners) > 0 && (wanted.Service != "" || wanted.Kind != ""):
		return nil, fault("owners", "contradicts service and kind: a token is for owners or for one service")
	case strings.ContainsFunc(wanted.Description, unicode.IsControl):
		return nil, fault("description", "has control characters")
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	created, secret, err := s.newToken(ctx, wanted, write)
	if err != nil {
		return nil, err
	}
	return &createdTokenAnswer{Body: CreatedToken{Token: created, Secret: secret}}, nil
}

func (s *Server) newToken(ctx context.Context, wanted NewToken, w registry.Write) (registry.Token, string, error) {
	token := registry.Token{Kind: wanted.Kind, Service: wanted.Service, Owners: wanted.Owners, Keeper: wanted.Keeper, Vouches: wanted.Vouches, VouchGateways: wanted.VouchGateways, Gateway: wanted.Gateway, Authz: wanted.Authz, Bound: wanted.Bound, Description: wanted.Description, Author: w.Author}
	switch wanted.Kind {
	case "", registry.InstancesToken, registry.KeeperToken:
		if wanted.TTL != 0 || wanted.Uses != 0 || wanted.Gateway != "" || wanted.Authz || wanted.Judged != 0 {
			return token, "", fault("kind", "is missing: gateway, authz, ttl, uses and serviceRevision are of join tokens")
		}
		return s.cfg.Registry.CreateToken(ctx, token, w)
	case registry.JoinToken:
		if s.cfg.Identities == nil {
			return token, "", noIdentities()
		}
		token.Uses, w.Revision = wanted.Uses, wanted.Judged
		created, secret, err := s.cfg.Registry.CreateJoinToken(ctx, token, wanted.TTL.Std(), w)
		return created, identity.FormatJoinToken(secret, s.cfg.Identities.Pin()), err
	}
	return token, "", fault("kind", "is not one of: join, instances, keeper")
}

func (s *Server) revokeToken(ctx context.Context, in *struct {
	Call
	ID string `path:"id" maxLength:"64" doc:"The token's ID, as the list shows it." example:"4f2a9c81d0e3"`
}) (*Nothing, error) {
	token, err := s.minter(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	return &Nothing{}, s.cfg.Registry.RevokeToken(ctx, in.ID, write)
}
