package authz

import (
	"context"
	"errors"
	"log/slog"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Visit is what a request from outside brings to prove who sends it: headers, as
// Envoy gives them, so several of one name are joined by commas.
type Visit struct {
	Assertion     string // Cf-Access-Jwt-Assertion
	Cookie        string
	Authorization string
}

// Visitors finds who is behind a request at the edge of the mesh.
type Visitors interface {
	// Visitor proves a request with what the edge of that name takes. A
	// [*Unproven] says why it is not taken; Unavailable: it cannot be said now.
	Visitor(ctx context.Context, edge string, visit Visit) (User, error)
}

// The reasons why a request from outside is not taken, beside those of [Edges].
const (
	NotAGateway    Reason = "not_a_gateway"   // only gateways vouch for users
	UnknownEdge    Reason = "unknown_edge"    // no edge of that name is set up here
	NoToken        Reason = "no_token"        // the request brings none
	MalformedToken Reason = "malformed_token" // it is not a signed token, or says nothing that can be used
	UnknownKey     Reason = "unknown_key"     // the issuer publishes no such key
	WrongSignature Reason = "wrong_signature" // the key did not sign it
	WrongIssuer    Reason = "wrong_issuer"    // somebody else issued it
	WrongAudience  Reason = "wrong_audience"  // it is for another application
	ExpiredToken   Reason = "expired_token"   // it was valid once
	EarlyToken     Reason = "early_token"     // it is not valid yet
	TooManyGroups  Reason = "too_many_groups" // the user's claims do not fit in a header
)

// Unproven is why a token from outside is not taken.
type Unproven struct {
	Reason  Reason
	Message string // for whoever sent it
	Err     error  // for the log: what came, which may be anything; or nil
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

// visitor finds the user for whom a gateway asks. Exactly one of refused and err
// is set when there is none.
func (s *Service) visitor(ctx context.Context, caller Caller, r *check) (_ User, refused *Unproven, err error) {
	if caller.Kind != GatewayCaller {
		return User{}, &Unproven{Reason: NotAGateway, Message: "only a gateway vouches for users"}, nil
	}
	if s.cfg.Visitors == nil {
		return User{}, &Unproven{Reason: UnknownEdge, Message: "the AuthZ service has not been told what proves users", Err: errors.New("it has no --edge-config")}, nil
	}
	user, err := s.cfg.Visitors.Visitor(ctx, r.edge, r.visit)
	if errors.As(err, &refused) {
		return User{}, refused, nil
	}
	return user, nil, err
}

// turnAway refuses a request from outside, whatever the callee's ladder says: that
// is about callers inside the mesh. It names nothing of the mesh.
func (s *Service) turnAway(ctx context.Context, caller Caller, r *check, why *Unproven) *response {
	s.metrics.denied.Inc()
	if _, fresh := s.logged.SetIfAbsent(refusedPair{caller.ID, mesh.ServiceName(r.callee), why.Reason}, struct{}{}); fresh {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a request from outside is refused", slog.String("reason", string(why.Reason)),
			slog.String("caller", caller.Name), slog.String("callee", r.callee), slog.String("edge", r.edge), slog.String("error", why.Error()))
	}
	return denied(Refusal{Error: why.Reason, Message: why.Message})
}
