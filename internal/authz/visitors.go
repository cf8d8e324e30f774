package authz

import (
	"context"
	"errors"
	"log/slog"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Visit is a request from outside: whom its route asks who sends it, and the
// headers that may prove it, as Envoy gives them, so several of one name are joined
// by commas.
type Visit struct {
	Provider string // by its name; "": nobody is asked
	Audience string // the application that the token has to be for; "": as the provider's settings say

	Assertion     string // Cf-Access-Jwt-Assertion
	Cookie        string
	Authorization string
}

// Visitor is who is behind a request from outside, and what the callee is not sent
// of what proved it.
type Visitor struct {
	User   User
	Remove []string // headers
	Cookie string   // takes the place of the request's cookies; "": they stay
}

// Visitors finds who is behind a request at the edge of the mesh.
type Visitors interface {
	// Visitor proves who sends a request. A [*Unproven] says why it is not proven;
	// Unavailable: it cannot be said now.
	Visitor(ctx context.Context, visit Visit) (Visitor, error)
}

// The reasons why a request from outside is not taken, beside those of [Edges].
const (
	NotAGateway     Reason = "not_a_gateway"    // only gateways vouch for users
	UnknownProvider Reason = "unknown_provider" // none of that name is set up here
	NoAudience      Reason = "no_audience"      // neither route nor settings say for which application tokens have to be
	NoToken         Reason = "no_token"         // the request brings none
	MalformedToken  Reason = "malformed_token"  // it is not a signed token, or says nothing that can be used
	UnknownKey      Reason = "unknown_key"      // the issuer publishes no such key
	WrongSignature  Reason = "wrong_signature"  // the key did not sign it
	WrongIssuer     Reason = "wrong_issuer"     // somebody else issued it
	WrongAudience   Reason = "wrong_audience"   // it is for another application
	ExpiredToken    Reason = "expired_token"    // it was valid once
	EarlyToken      Reason = "early_token"      // it is not valid yet
	TooManyGroups   Reason = "too_many_groups"  // the user's claims do not fit in a header
)

// Unproven is why a token from outside is not taken.
type Unproven struct {
	Reason  Reason
	Message string // for whoever sent it
	Err     error  // for the log: what came, which may be anything; or nil

	Challenge string // WWW-Authenticate of a 401
}

// Error implements error.
func (u *Unproven) Error() string {
	if u.Err != nil {
		return u.Message + ": " + u.Err.Error()
	}
	return u.Message
}

// Unwrap gives the cause.
func (u *Unproven) Unwrap() error { return u.Err }

// visitor finds who is behind a gateway's request. Exactly one of refused and err
// is set when nobody is.
func (s *Service) visitor(ctx context.Context, caller Caller, visit Visit) (_ Visitor, refused *Unproven, err error) {
	if caller.Kind != GatewayCaller {
		return Visitor{}, &Unproven{Reason: NotAGateway, Message: "only a gateway vouches for users"}, nil
	}
	if s.cfg.Visitors == nil {
		return Visitor{}, &Unproven{Reason: UnknownProvider, Message: "who may see this is not set up yet", Err: errors.New("the AuthZ service has no --edge-config")}, nil
	}
	visitor, err := s.cfg.Visitors.Visitor(ctx, visit)
	if errors.As(err, &refused) {
		return Visitor{}, refused, nil
	}
	return visitor, nil, err
}

// turnAway refuses a request from outside, whatever the callee's ladder says: that
// is about callers inside the mesh. It names nothing of the mesh.
func (s *Service) turnAway(ctx context.Context, caller Caller, r *check, why *Unproven) *response {
	s.metrics.denied.Inc()
	if _, fresh := s.logged.SetIfAbsent(refusedPair{caller.ID, mesh.ServiceName(r.callee), why.Reason}, struct{}{}); fresh {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a request from outside is refused", slog.String("reason", string(why.Reason)),
			slog.String("caller", caller.Name), slog.String("callee", r.callee), slog.String("provider", r.visit.Provider), slog.String("error", why.Error()))
	}
	return denied(Refusal{Error: why.Reason, Message: why.Message}, why.Challenge)
}

// strip has a request that passes lose what proved who sends it.
func (v Visitor) strip(r *response) *response {
	if len(v.Remove) == 0 && v.Cookie == "" {
		return r
	}
	ok := &authv3.OkHttpResponse{HeadersToRemove: v.Remove}
	if v.Cookie != "" {
		ok.Headers = []*corev3.HeaderValueOption{header("cookie", v.Cookie)}
	}
	return r.with(&authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}})
}
