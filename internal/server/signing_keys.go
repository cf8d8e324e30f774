package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// SigningKeys are the keys that the AuthZ services sign tokens with, as far as
// others may know them, and the services themselves.
type SigningKeys struct {
	Issuer      string            `json:"issuer,omitempty" doc:"What tokens name as their issuer. Missing: no keys are published."`
	Withdrawn   bool              `json:"withdrawn" doc:"No keys are published on purpose: sidecars neither ask for tokens nor check them."`
	Keys        []SigningKey      `json:"keys" doc:"The published keys, by when they begin to sign."`
	Revoked     []mesh.RevokedKey `json:"revoked" doc:"Keys that are never used again."`
	Authorizers []AuthorizerAt    `json:"authorizers" doc:"The AuthZ services that are announced to sidecars."`
}

// SigningKey is one published key.
type SigningKey struct {
	ID        string          `json:"id" doc:"The kid of its tokens: its RFC 7638 thumbprint."`
	Algorithm string          `json:"algorithm,omitempty" example:"RS256"`
	SignsFrom time.Time       `json:"signsFrom"`
	State     SigningKeyState `json:"state" enum:"signing,next,former,revoked" doc:"former: it signs no more, and its last tokens live. revoked: it goes within seconds."`
}

// SigningKeyState says what a key does.
type SigningKeyState string

// The states of a key.
const (
	KeySigning SigningKeyState = "signing"
	KeyNext    SigningKeyState = "next"
	KeyFormer  SigningKeyState = "former"
	KeyRevoked SigningKeyState = "revoked"
)

// AuthorizerAt is one AuthZ service.
type AuthorizerAt struct {
	ID      string    `json:"id"`
	Address string    `json:"address"`
	Port    mesh.Port `json:"port"`
}

func (s *Server) signingKeyOperations() {
	const path, tag = "/api/v1/signing-keys", "signing keys"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "listSigningKeys", summary: "List the keys that tokens are signed with, and the AuthZ services"}, s.listSigningKeys)
	order := func(what, id, summary, description string, do func(context.Context, registry.Write) error) {
		register(s, operation{
			method: http.MethodPost, path: path + "/" + what, tag: tag, id: id, summary: summary,
			description: description, status: http.StatusNoContent, token: true,
		}, func(ctx context.Context, in *struct{ Call }) (*Nothing, error) { return s.orderKeys(ctx, &in.Call, do) })
	}
	order("rotate", "rotateSigningKeys", "Have the next key sign now", "The AuthZ services do it within seconds. Tokens of the present key stay valid until they end.", s.cfg.Registry.RotateKeys)
	order("withdraw", "withdrawSigningKeys", "Take the AuthZ services out of the mesh",
		"The public keys are taken away, and no AuthZ service publishes any: sidecars neither ask for tokens nor check them. Who may call whom is then a matter of certificates alone.",
		func(ctx context.Context, w registry.Write) error {
			return s.cfg.Registry.WithdrawKeys(ctx, true, w)
		})
	order("publish", "publishSigningKeys", "Take the AuthZ services into the mesh again", "They publish their keys within seconds, and sidecars ask for tokens and check them.",
		func(ctx context.Context, w registry.Write) error {
			return s.cfg.Registry.WithdrawKeys(ctx, false, w)
		})
	register(s, operation{
		method: http.MethodDelete, path: path + "/{id}", tag: tag, id: "revokeSigningKey", summary: "Revoke a key",
		description: "Another key signs in its place, and sidecars refuse its tokens, within six seconds while an AuthZ service is at work. It can never be used again.",
		status:      http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound},
	}, s.revokeSigningKey)
}

func (s *Server) listSigningKeys(ctx context.Context, _ *struct{}) (*struct{ Body SigningKeys }, error) {
	trust, err := s.cfg.Registry.Trust(ctx)
	if err != nil {
		return nil, err
	}
	return &struct{ Body SigningKeys }{signingKeysOf(trust, time.Now())}, nil
}

// signingKeysOf tells what is published, as it is at a time.
func signingKeysOf(trust registry.Trust, now time.Time) SigningKeys {
	out := SigningKeys{
		Withdrawn: trust.Orders.Withdrawn, Keys: []SigningKey{}, Authorizers: []AuthorizerAt{},
		Revoked: append([]mesh.RevokedKey{}, trust.Orders.Revoked...),
	}
	for _, a := range trust.Authorizers {
		out.Authorizers = append(out.Authorizers, AuthorizerAt{a.ID, a.Address, a.Port})
	}
	if trust.Keys == nil {
		return out
	}
	out.Issuer = trust.Keys.Issuer
	var jwks struct {
		Keys []struct{ Kid, Alg string } `json:"keys"`
	}
	_ = json.Unmarshal(trust.Keys.JWKS, &jwks) // it is for the names of the algorithms
	algorithms := map[string]string{}
	for _, one := range jwks.Keys {
		algorithms[one.Kid] = one.Alg
	}
	signing := -1
	for i, one := range trust.Keys.Schedule {
		key := SigningKey{ID: one.ID, Algorithm: algorithms[one.ID], SignsFrom: one.SignsFrom, State: KeyNext}
		switch {
		case trust.Orders.Revokes(one.ID):
			key.State = KeyRevoked
		case !one.SignsFrom.After(now):
			if signing >= 0 {
				out.Keys[signing].State = KeyFormer
			}
			key.State, signing = KeySigning, i
		}
		out.Keys = append(out.Keys, key)
	}
	return out
}

func (s *Server) orderKeys(ctx context.Context, call *Call, do func(context.Context, registry.Write) error) (*Nothing, error) {
	token, err := s.authenticate(ctx, call)
	if err != nil {
		return nil, err
	}
	write, err := call.write(token)
	if err != nil {
		return nil, err
	}
	return &Nothing{}, do(ctx, write)
}

func (s *Server) revokeSigningKey(ctx context.Context, in *struct {
	Call
	ID string `path:"id" maxLength:"64" doc:"The key's ID, as the list shows it." example:"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"`
}) (*Nothing, error) {
	return s.orderKeys(ctx, &in.Call, func(ctx context.Context, w registry.Write) error {
		return s.cfg.Registry.RevokeKey(ctx, in.ID, w)
	})
}
