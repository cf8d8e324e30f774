package authz

import (
	"context"
	"errors"
	"fmt"
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

func (v visitorsOf) Visitor(_ context.Context, visit Visit) (Visitor, error) {
	switch user, is := v[visit.Assertion]; {
	case visit.Provider != "staff":
		return Visitor{}, &Unproven{Reason: UnknownProvider, Message: "no such provider"}
	case visit.Assertion == "later":
		return Visitor{}, mesh.Unavailable(nil, "the issuer's keys cannot be fetched")
	case !is:
		return Visitor{}, &Unproven{Reason: WrongSignature, Message: "the token's signature is wrong", Err: errors.New("secret detail"), Challenge: "Test realm=x"}
	default:
		return Visitor{User: user, Remove: []string{"cf-access-jwt-assertion"}}, nil
	}
}

// requestAtTheEdge is what a gateway sends for a call with somebody's token.
func requestAtTheEdge(caller, callee, provider, assertion string) *authv3.CheckRequest {
	r := requestFor("web", callee)
	r.Attributes.Source.Principal = "spiffe://mesh.test/" + caller
	r.Attributes.Request.Http.Headers["cf-access-jwt-assertion"] = assertion
	if provider != "" {
		r.Attributes.ContextExtensions["provider"] = provider
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
		provider := "staff"
		if user == "" {
			provider = "" // a route for everybody
		}
		for range 2 { // signed, and from memory
			got, err := ask(t, address, insecure.NewCredentials(), requestAtTheEdge("gateway/entry", "orders", provider, assertion))
			if err != nil || got.GetOkResponse() == nil {
				t.Fatalf("%q: %v, %v", assertion, got, err)
			}
			if removed := got.GetOkResponse().GetHeadersToRemove(); (len(removed) > 0) != (user != "") {
				t.Errorf("%q: of the request is removed %q", assertion, removed)
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
		caller, provider, assertion string
		none                        bool // no providers are set up
		want                        codes.Code
		reason                      Reason
	}{
		"a forged token":                     {"gateway/entry", "staff", "forged", false, codes.Unauthenticated, WrongSignature},
		"no token":                           {"gateway/entry", "staff", "", false, codes.Unauthenticated, WrongSignature},
		"a provider that nobody set up":      {"gateway/entry", "guests", "ada", false, codes.PermissionDenied, UnknownProvider},
		"no provider is set up":              {"gateway/entry", "staff", "ada", true, codes.PermissionDenied, UnknownProvider},
		"a service that vouches":             {"service/web", "staff", "ada", false, codes.PermissionDenied, NotAGateway},
		"it cannot be said now":              {"gateway/entry", "staff", "later", false, codes.Unavailable, ""},
		"proven, but nothing is routed":      {"gateway/entry", "staff", "ada", false, codes.OK, ""}, // the ladder says observe
		"nothing is routed, and no provider": {"gateway/entry", "", "", false, codes.OK, ""},
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
			got, err := ask(t, serve(t, cfg), insecure.NewCredentials(), requestAtTheEdge(one.caller, "orders", one.provider, one.assertion))
			if one.want == codes.Unavailable {
				if status.Code(err) != codes.Unavailable {
					t.Errorf("answered %v, %v", got, err)
				}
				return
			}
			if err != nil || codes.Code(got.GetStatus().GetCode()) != one.want || one.want != codes.OK && got.GetStatus().GetMessage() != string(one.reason) {
				t.Fatalf("answered %v, %v", got, err)
			}
			if challenge := valueOf(got.GetDeniedResponse().GetHeaders(), "www-authenticate"); (challenge != "") != (one.want == codes.Unauthenticated) {
				t.Errorf("the challenge is %q", challenge)
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

// What a gateway is refused is told to a stranger: it names nothing of the mesh, nor
// does the warning of a callee that only warns. The log does.
func TestStrangersAreToldNothing(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		caller, callee string
		edge           Edge
		want           Reason
	}{
		"not routed":            {"gateway/entry", "orders", Edge{Reason: NotRouted}, NotRouted},
		"a callee of no name":   {"gateway/entry", "orders", Edge{Reason: UnknownCallee}, NotRouted},
		"no callee":             {"gateway/entry", "", Edge{}, NotRouted},
		"who is not proven":     {"other/entry", "orders", Edge{}, NoIdentity},
		"a callee that warns":   {"gateway/entry", "orders", Edge{Reason: NotRouted, Enforcement: mesh.Warn}, ""},
		"one that only watches": {"gateway/entry", "orders", Edge{Reason: NotRouted, Enforcement: mesh.Observe}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs strings.Builder
			cfg := ServiceConfig{Edges: oneEdge(one.edge), InsecurePlainCallers: true, Logger: slog.New(slog.NewTextHandler(&logs, nil))}
			got, err := ask(t, serve(t, cfg), insecure.NewCredentials(), requestAtTheEdge(one.caller, one.callee, "", ""))
			if err != nil || got.GetStatus().GetMessage() != string(one.want) {
				t.Fatalf("answered %v, %v", got, err)
			}
			told := got.GetDeniedResponse().GetBody() + fmt.Sprint(got.GetDeniedResponse().GetHeaders(), got.GetOkResponse().GetResponseHeadersToAdd())
			for _, inner := range []string{"orders", "entry", "spiffe", WarningHeader} {
				if strings.Contains(told, inner) {
					t.Errorf("a stranger is told of %q: %s", inner, told)
				}
			}
			if one.callee != "" && !strings.Contains(logs.String(), "orders") {
				t.Errorf("the log does not say what was called: %s", logs.String())
			}
		})
	}
}

type oneEdge Edge

func (e oneEdge) Edge(Caller, mesh.ServiceName) (Edge, error) { return Edge(e), nil }

// A route that the gateway answers itself, such as a redirect, may want a user too:
// then the proof is all, and no token is made.
func TestAProofWithoutCallee(t *testing.T) {
	t.Parallel()
	address := serve(t, ServiceConfig{Edges: edgesOf{}, Visitors: visitorsOf{"ada": {Subject: "1"}}, InsecurePlainCallers: true})
	for assertion, want := range map[string]codes.Code{"ada": codes.OK, "forged": codes.Unauthenticated} {
		got, err := ask(t, address, insecure.NewCredentials(), requestAtTheEdge("gateway/entry", "", "staff", assertion))
		if err != nil || codes.Code(got.GetStatus().GetCode()) != want || valueOf(got.GetOkResponse().GetHeaders(), TokenHeader) != "" {
			t.Errorf("%s: answered %v, %v", assertion, got, err)
		}
	}
	if got, err := ask(t, address, insecure.NewCredentials(), requestAtTheEdge("service/web", "", "staff", "ada")); err != nil || got.GetStatus().GetMessage() != string(NotAGateway) {
		t.Errorf("a service that vouches: %v, %v", got, err)
	}
}

// A copy has a token of its own, which only Envoy is handed; one that may not be
// made costs the request nothing.
func TestCopiesHaveTokens(t *testing.T) {
	t.Parallel()
	issuer := runIssuer(t, IssuerConfig{})
	ada := User{Subject: "1"}
	edges := edgesOf{pairs: map[[2]string]bool{{"entry", "orders"}: true, {"entry", "copies"}: true}}
	address := serve(t, ServiceConfig{Issuer: issuer, Edges: edges, Visitors: visitorsOf{"ada": ada}, InsecurePlainCallers: true})
	for mirror, want := range map[string]bool{"copies": true, "ledger": false, "": false} {
		r := requestAtTheEdge("gateway/entry", "orders", "staff", "ada")
		r.Attributes.ContextExtensions["mirror"] = mirror
		got, err := ask(t, address, insecure.NewCredentials(), r)
		if err != nil || got.GetOkResponse() == nil {
			t.Fatalf("%q: %v, %v", mirror, got, err)
		}
		check := func(callee, token string) {
			t.Helper()
			p := Pair{Caller: "spiffe://mesh.test/gateway/entry", Callee: "spiffe://mesh.test/service/" + callee, User: ada.Claim()}
			checked(t, issuer, &Token{Raw: token, Expires: issuer.cfg.Now().Add(DefaultTokenLife)}, p)
		}
		check("orders", valueOf(got.GetOkResponse().GetHeaders(), TokenHeader))
		token := got.GetDynamicMetadata().GetFields()["mirror-token"].GetStringValue()
		if (token != "") != want {
			t.Errorf("%q: the copy's token is %q", mirror, token)
		} else if want {
			check(mirror, token)
		}
	}
	r := requestAtTheEdge("gateway/entry", "orders", "staff", "forged")
	r.Attributes.ContextExtensions["mirror"] = "copies"
	if got, err := ask(t, address, insecure.NewCredentials(), r); err != nil || got.GetDeniedResponse() == nil || got.GetDynamicMetadata() != nil {
		t.Errorf("a stranger's copy: %v, %v", got, err)
	}
}
