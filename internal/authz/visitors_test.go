package authz

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// visitorsOf knows users by the assertion that they bring.
type visitorsOf map[string]User

func (v visitorsOf) Visitor(_ context.Context, edge string, visit Visit) (User, error) {
	switch user, is := v[visit.Assertion]; {
	case edge != "staff":
		return User{}, &Unproven{Reason: UnknownEdge, Message: "no such edge"}
	case visit.Assertion == "later":
		return User{}, mesh.Unavailable(nil, "the issuer's keys cannot be fetched")
	case !is:
		return User{}, &Unproven{Reason: WrongSignature, Message: "the token's signature is wrong", Err: errors.New("secret detail")}
	default:
		return user, nil
	}
}

// requestAtTheEdge is what a gateway sends for a call with somebody's token.
func requestAtTheEdge(caller, callee, edge, assertion string) *authv3.CheckRequest {
	r := requestFor("web", callee)
	r.Attributes.Source.Principal = "spiffe://mesh.test/" + caller
	r.Attributes.Request.Http.Headers["cf-access-jwt-assertion"] = assertion
	if edge != "" {
		r.Attributes.ContextExtensions["edge"] = edge
	}
	return r
}

// A user whom a gateway vouches for is in the token for the callee, and in no other.
func TestUsersAreInTheToken(t *testing.T) {
	t.Parallel()
	issuer := runIssuer(t, IssuerConfig{})
	ada, bo := User{Email: "ada@acme.example", Subject: "1", Groups: []string{"eng", "ops"}}, User{Service: "ci.access"}
	edges := edgesOf{pairs: map[[2]string]bool{{"entry", "orders"}: true}}
	address := serve(t, ServiceConfig{Issuer: issuer, Edges: edges, Visitors: visitorsOf{"ada": ada, "bo": bo}, InsecurePlainCallers: true})
	for assertion, user := range map[string]string{"ada": ada.Claim(), "bo": bo.Claim(), "": ""} {
		edge := "staff"
		if user == "" {
			edge = "" // a route for everybody
		}
		for range 2 { // signed, and from memory
			got, err := ask(t, address, insecure.NewCredentials(), requestAtTheEdge("gateway/entry", "orders", edge, assertion))
			if err != nil || got.GetOkResponse() == nil {
				t.Fatalf("%q: %v, %v", assertion, got, err)
			}
			p := Pair{Caller: "spiffe://mesh.test/gateway/entry", Callee: "spiffe://mesh.test/service/orders", User: user}
			checked(t, issuer, &Token{Raw: valueOf(got.GetOkResponse().GetHeaders(), TokenHeader), Expires: issuer.cfg.Now().Add(DefaultTokenLife)}, p)
		}
	}
}

// Who does not prove who they are is refused, whatever the callee's ladder says, and
// is told nothing of the mesh.
func TestUsersWhoAreNotProven(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		caller, edge, assertion string
		none                    bool // no edges are set up
		want                    codes.Code
		reason                  Reason
	}{
		"a forged token":                 {"gateway/entry", "staff", "forged", false, codes.Unauthenticated, WrongSignature},
		"no token":                       {"gateway/entry", "staff", "", false, codes.Unauthenticated, WrongSignature},
		"an edge that nobody set up":     {"gateway/entry", "guests", "ada", false, codes.PermissionDenied, UnknownEdge},
		"no edge is set up":              {"gateway/entry", "staff", "ada", true, codes.PermissionDenied, UnknownEdge},
		"a service that vouches":         {"service/web", "staff", "ada", false, codes.PermissionDenied, NotAGateway},
		"it cannot be said now":          {"gateway/entry", "staff", "later", false, codes.Unavailable, ""},
		"proven, but nothing is routed":  {"gateway/entry", "staff", "ada", false, codes.OK, ""}, // the ladder says observe
		"nothing is routed, and no edge": {"gateway/entry", "", "", false, codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs strings.Builder
			cfg := ServiceConfig{
				Edges: edgesOf{enforcement: mesh.Observe}, Visitors: visitorsOf{"ada": {Subject: "1"}}, InsecurePlainCallers: true,
				Logger: slog.New(slog.NewTextHandler(&logs, nil)),
			}
			if one.none {
				cfg.Visitors = nil
			}
			got, err := ask(t, serve(t, cfg), insecure.NewCredentials(), requestAtTheEdge(one.caller, "orders", one.edge, one.assertion))
			if one.want == codes.Unavailable {
				if status.Code(err) != codes.Unavailable {
					t.Errorf("answered %v, %v", got, err)
				}
				return
			}
			if err != nil || codes.Code(got.GetStatus().GetCode()) != one.want || one.want != codes.OK && got.GetStatus().GetMessage() != string(one.reason) {
				t.Fatalf("answered %v, %v", got, err)
			}
			body := got.GetDeniedResponse().GetBody()
			for _, inner := range []string{"orders", "entry", "secret detail"} {
				if strings.Contains(body, inner) {
					t.Errorf("the body tells of %q: %s", inner, body)
				}
			}
			if one.reason != "" && !strings.Contains(logs.String(), "orders") {
				t.Errorf("the log does not say what was called: %s", logs.String())
			}
		})
	}
}
