package authz

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/internal/envoytest"
)

// lastVisit lets in who brings "good", and remembers what came.
type lastVisit chan Visit

func (l lastVisit) Visitor(_ context.Context, v Visit) (Visitor, error) {
	l <- v
	if v.Provider != "staff" || v.Audience != "tag" || v.Assertion != "good" {
		return Visitor{}, &Unproven{Reason: WrongSignature, Message: "the token's signature is wrong", Challenge: `Test realm="staff"`}
	}
	return Visitor{User: User{Subject: "1"}, Remove: []string{"cf-access-jwt-assertion"}, Cookie: "kept=1"}, nil
}

// A real Envoy as a gateway: its headers arrive as [Visit] says, and who is refused
// does not reach the callee.
func TestARealGatewayAsks(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	reached := make(chan http.Header, 1)
	application := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Header }))
	defer application.Close()
	cfg := &tls.Config{Certificates: []tls.Certificate{a.issue(t, "spiffe://mesh.test/heddle/server")}, ClientCAs: a.pool(), MinVersion: tls.VersionTLS12}
	issuer, visits := runIssuer(t, IssuerConfig{}), make(lastVisit, 1)
	edges := edgesOf{pairs: map[[2]string]bool{{"entry", "orders"}: true}}
	authorizer := serve(t, ServiceConfig{Issuer: issuer, Edges: edges, Visitors: visits}, grpc.Creds(Credentials(func() (*tls.Config, error) { return cfg, nil }, testDomain, nil)))
	port := freePort(t)
	envoytest.Start(t, sidecarBootstrap(t, "gateway/entry", port, authorizer, strings.TrimPrefix(application.URL, "http://"), a))

	for name, one := range map[string]struct {
		headers http.Header
		want    Visit
		code    int
	}{
		"a header":             {http.Header{"Cf-Access-Jwt-Assertion": {"good"}, "Cookie": {"kept=1; CF_Authorization=x"}}, Visit{Assertion: "good", Cookie: "kept=1; CF_Authorization=x"}, http.StatusOK},
		"in small letters":     {http.Header{"cf-access-jwt-assertion": {"good"}}, Visit{Assertion: "good"}, http.StatusOK},
		"two of them":          {http.Header{"Cf-Access-Jwt-Assertion": {"good", "bad"}}, Visit{Assertion: "good,bad"}, http.StatusUnauthorized},
		"cookie and bearer":    {http.Header{"Cookie": {"a=b; CF_Authorization=x"}, "Authorization": {"Bearer y"}}, Visit{Cookie: "a=b; CF_Authorization=x", Authorization: "Bearer y"}, http.StatusUnauthorized},
		"cookies in two lines": {http.Header{"Cookie": {"a=b", "CF_Authorization=x"}}, Visit{Cookie: "a=b,CF_Authorization=x"}, http.StatusUnauthorized},
		"two bearers":          {http.Header{"Authorization": {"Bearer y", "Bearer z"}}, Visit{Authorization: "Bearer y,Bearer z"}, http.StatusUnauthorized},
		"nothing":              {http.Header{TokenHeader: {"forged"}, "X-Heddle-Provider": {"staff"}}, Visit{}, http.StatusUnauthorized},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%s/users", port), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = one.headers
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if challenge := response.Header.Get("WWW-Authenticate"); (challenge == `Test realm="staff"`) != (one.code == http.StatusUnauthorized) {
			t.Errorf("%s: the challenge is %q", name, challenge)
		}
		one.want.Provider, one.want.Audience = "staff", "tag"
		if diff := cmp.Diff(one.want, <-visits); diff != "" || response.StatusCode != one.code {
			t.Errorf("%s: answered with %d\n%s", name, response.StatusCode, diff)
		}
		select {
		case got := <-reached:
			if got.Get("Cf-Access-Jwt-Assertion") != "" || got.Get("Cookie") != "kept=1" {
				t.Errorf("%s: the user's token goes on to the callee: %v", name, got)
			}
			p := Pair{Caller: "spiffe://mesh.test/gateway/entry", Callee: "spiffe://mesh.test/service/orders", User: User{Subject: "1"}.Claim()}
			checked(t, issuer, &Token{Raw: got.Get(TokenHeader), Expires: issuer.cfg.Now().Add(DefaultTokenLife)}, p)
		default:
			if one.code == http.StatusOK {
				t.Errorf("%s: the callee was not reached", name)
			}
		}
	}
}
