package test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// startTrusted is startSecure with an AuthZ service, and nothing but mutual TLS.
func startTrusted(t *testing.T, arguments ...string) *server {
	t.Helper()
	return startSecure(t, append([]string{"--mtls", "strict", "--authz-listen", "127.0.0.1:0", "--authz-http-listen", "127.0.0.1:0"}, arguments...)...)
}

// tokenIn is the one that an application told of.
func tokenIn(t *testing.T, body string) (token string, claims map[string]any) {
	t.Helper()
	_, token, _ = strings.Cut(body, "token=")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token in %q", body)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return token, claims
}

// TestTokens: a caller's sidecar gets a token for the callee, whose sidecar takes
// nothing else: no forged one, none of another callee, none that was stolen.
func TestTokens(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	for name, more := range map[string]int{"few callers": 0, "many callers": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testTokens(t, more)
		})
	}
}

// testTokens has so many more callers of each callee: sidecars look for the caller
// otherwise then.
func testTokens(t *testing.T, more int) {
	s := startTrusted(t)
	orders, stock := service("orders", mesh.HTTP, "stock"), service("stock", mesh.HTTP)
	orders.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckHTTP, Path: "/healthz"}
	s.declare(stock, orders, service("web", mesh.HTTP, "orders", "stock"), service("other", mesh.HTTP))
	for i := range more {
		s.declare(service(fmt.Sprintf("caller-%d", i), mesh.HTTP, "orders", "stock"))
	}
	all := startMesh(t, s, "web", "orders", "stock", "other")
	forged := func(r *http.Request) { r.Header.Set("x-heddle-token", "forged") }
	got := all["web"].side().wants(t, "orders", "/", http.StatusOK, "orders token=ey", forged)
	token, claims := tokenIn(t, got.body)
	if claims["iss"] != "https://heddle.local" || claims["sub"] != "spiffe://heddle.local/service/web" || !names(claims["aud"], "spiffe://heddle.local/service/orders") {
		t.Errorf("the token says %v", claims)
	}
	forStock, _ := tokenIn(t, all["web"].side().wants(t, "stock", "/", http.StatusOK, "stock token=ey").body)
	fromOrders, _ := tokenIn(t, all["orders"].side().wants(t, "stock", "/", http.StatusOK, "stock token=ey").body)

	web, other := all["web"].certificate(t), all["other"].certificate(t)
	unsigned := strings.Join(append(strings.Split(token, ".")[:2], ""), ".")
	for what, c := range map[string]struct {
		callee      string
		certificate tls.Certificate
		token       string
		status      int
		reason      string
	}{
		"its own token":                           {"orders", web, token, http.StatusOK, ""},
		"no token":                                {"orders", web, "", http.StatusUnauthorized, "token"},
		"a token for another callee":              {"orders", web, forStock, http.StatusForbidden, "token"},
		"no signature":                            {"orders", web, unsigned, http.StatusUnauthorized, "token"},
		"another caller's token":                  {"stock", web, fromOrders, http.StatusForbidden, "caller"},
		"a stolen token by a stranger":            {"orders", other, token, http.StatusForbidden, "caller"},
		"no token by a stranger":                  {"orders", other, "", http.StatusUnauthorized, "token"},
		"a token that is not one":                 {"orders", web, "forged", http.StatusUnauthorized, "token"},
		"a token for what the caller has, here":   {"stock", web, forStock, http.StatusOK, ""},
		"a check by a caller, which has no token": {"orders/healthz", web, "", http.StatusOK, ""},
		"a check with words behind it":            {"orders/healthz?a=b", web, "", http.StatusOK, ""},
		"a check by a stranger":                   {"orders/healthz", other, "", http.StatusForbidden, "caller"},
		"a path that begins as that of checks":    {"orders/healthzz", web, "", http.StatusUnauthorized, "token"},
		"a path below that of checks":             {"orders/healthz/x", web, "", http.StatusUnauthorized, "token"},
	} {
		header := http.Header{}
		if c.token != "" {
			header.Set("x-heddle-token", c.token)
		}
		callee, path, _ := strings.Cut(c.callee, "/")
		got, err := directly(t, all[callee].inbound(), "/"+path, []tls.Certificate{c.certificate}, header)
		if err != nil || got.status != c.status || got.header.Get("x-heddle-reason") != c.reason {
			t.Errorf("%s: %d %q %s, %v; want %d %q", what, got.status, got.header.Get("x-heddle-reason"), got.body, err, c.status, c.reason)
		}
	}
	// Only what a health check is needs no token.
	for method, want := range map[string]int{http.MethodGet: http.StatusOK, http.MethodPost: http.StatusUnauthorized} {
		if got, err := directlyBy(t, method, all["orders"].inbound(), "/healthz", []tls.Certificate{web}, nil); err != nil || got.status != want {
			t.Errorf("%s of the health check's path without a token: %d %s, %v; want %d", method, got.status, got.body, err, want)
		}
	}
}

func names(aud any, want string) bool {
	list, _ := aud.([]any)
	return aud == want || slices.Contains(list, any(want))
}

// TestTheEnforcementLadder: what is not allowed passes on the lower rungs, and is
// refused on the last.
func TestTheEnforcementLadder(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startTrusted(t)
	orders := service("orders", mesh.HTTP)
	orders.Access = mesh.Access{Callers: mesh.ApprovedCallers, Enforcement: mesh.Observe}
	s.declare(orders, service("web", mesh.HTTP, "orders"))
	all := startMesh(t, s, "web", "orders")
	web := all["web"].side()
	if got := web.wants(t, "orders", "/", http.StatusOK, "orders token="); strings.Contains(got.body, "token=ey") {
		t.Errorf("a caller that is not approved was given a token: %s", got.body)
	}
	orders.Access.Enforcement = mesh.Warn
	s.declare(orders)
	heddletest.Eventually(t, "the warning", func() error {
		got, err := web.call(t, "orders", "/")
		if err == nil && (got.status != http.StatusOK || !strings.Contains(got.header.Get("x-heddle-warning"), "approved")) {
			err = fmt.Errorf("%d, warning %q", got.status, got.header.Get("x-heddle-warning"))
		}
		return err
	})
	orders.Access.Enforcement = mesh.Deny
	s.declare(orders)
	got := web.wants(t, "orders", "/", http.StatusForbidden, "unapproved")
	if got.header.Get("x-heddle-reason") != "unapproved" {
		t.Errorf("refused for %q", got.header.Get("x-heddle-reason"))
	}
	orders.Access.Approved = []string{"web"}
	s.declare(orders)
	web.wants(t, "orders", "/", http.StatusOK, "orders token=ey")
}

// TestTheKindsOfSigningKeys: Envoy takes tokens by each kind of key.
func TestTheKindsOfSigningKeys(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	for _, kind := range []string{"rsa-4096", "es256", "eddsa"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := startTrusted(t, "--authz-key-type", kind)
			s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
			all := startMesh(t, s, "web", "orders")
			all["web"].side().wants(t, "orders", "/", http.StatusOK, "orders token=ey")
		})
	}
}

// TestWithoutAnAuthorizer: it fails closed, says so, and goes on by itself.
func TestWithoutAnAuthorizer(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startTrusted(t)
	s.declare(service("orders", mesh.HTTP), service("web", mesh.HTTP, "orders"))
	all := startMesh(t, s, "web", "orders")
	web := all["web"].side()
	web.wants(t, "orders", "/", http.StatusOK, "orders token=ey")
	s.Kill() // the AuthZ service is part of it
	web.wants(t, "orders", "/", http.StatusServiceUnavailable, "no AuthZ service could be asked")
	if got, err := web.call(t, "orders", "/"); err != nil || got.header.Get("x-heddle-reason") != "no-authorizer" {
		t.Errorf("%+v, %v", got, err)
	}
	s.restart()
	web.wants(t, "orders", "/", http.StatusOK, "orders token=ey")
}
