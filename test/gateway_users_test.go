package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// arrived are the headers of the last request that each application got.
type arrived struct {
	mu  sync.Mutex
	all map[string]http.Header // guarded by mu
}

// app answers with its name, and remembers what it was sent.
func (a *arrived) app(t *testing.T, name string) string {
	t.Helper()
	return app(t, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.all[name] = r.Header.Clone()
		a.mu.Unlock()
		_, _ = w.Write([]byte(name + " " + r.URL.Path))
	})
}

// at gives what arrived somewhere since it was last asked for.
func (a *arrived) at(name string) http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	header := a.all[name]
	delete(a.all, name)
	return header
}

// TestUsersCrossTheGateway: a user's token → a gateway → the AuthZ service → a
// service's sidecar → the application, which learns who the user is from the mesh's
// token, and sees no other; and everybody else is refused at the edge.
func TestUsersCrossTheGateway(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	users := startIssuer(t)
	s := startSecure(t, "--mtls", "strict", "--authz-listen", "127.0.0.1:0", "--authz-http-listen", "127.0.0.1:0", "--authz-edge-config", users.config)
	data, err := os.ReadFile(s.Ready)
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ Keys string }
	if err := json.Unmarshal(data, &at); err != nil {
		t.Fatal(err)
	}
	got := &arrived{all: map[string]http.Header{}}
	all := workloads{}
	for _, name := range []string{"shop", "orders", "copies"} {
		s.declare(service(name, mesh.HTTP))
		all = append(all, newSecureWorkload(t, s, name, name+"-1", got.app(t, name)))
	}
	staff := func(audience string) *mesh.RouteAuth { return &mesh.RouteAuth{Provider: "staff", Audience: audience} }
	shop, other, partners, open := route("shop", "shop.example.com", "shop", "orders"), route("other", "other.example.com", "shop"), route("partners", "partners.example.com", "orders"), route("open", "shop.example.com", "shop")
	shop.Auth, shop.Mirror = staff(shopTag), &mesh.RouteMirror{Service: "copies"}
	other.Auth, partners.Auth = staff(otherTag), &mesh.RouteAuth{Provider: "partners"}
	open.Match.Path = &mesh.PathMatch{Prefix: "/open"}
	nobody := route("nobody", "nobody.example.com", "shop")
	nobody.Auth = staff("")
	moved, inside := route("moved", "moved.example.com"), route("moved-inside", "moved-inside.example.com")
	moved.Redirect, inside.Redirect = &mesh.Redirect{Host: "shop.example.com"}, &mesh.Redirect{Host: "secret.example.com"}
	inside.Auth = staff(shopTag)
	s.route(shop, other, partners, open, nobody, moved, inside)
	t.Cleanup(all.leave)
	all.start(t)
	join, _ := gatewayJoin(t, s)
	g := startGateway(t, s, join...)

	ada, bo := bring("Cf-Access-Jwt-Assertion", users.staff(t, map[string]any{"groups": []string{"eng"}})), bring("Authorization", "Bearer "+users.partner(t, nil))
	lies := func(r *http.Request) {
		for _, name := range []string{"X-Heddle-Token", "X-Heddle-Mirror-Token", "X-Forwarded-Client-Cert", "Cf-Access-Authenticated-User-Email"} {
			r.Header.Set(name, "spiffe://heddle.local/service/shop")
		}
	}
	// reads checks what an application got, and gives the user.
	reads := func(name string) string {
		t.Helper()
		header := got.at(name)
		if header == nil {
			return ""
		}
		for _, gone := range []string{"Cf-Access-Jwt-Assertion", "Authorization", "X-Forwarded-Client-Cert", "Cf-Access-Authenticated-User-Email", "X-Heddle-Mirror-Token"} {
			if strings.Contains(strings.Join(header.Values(gone), ""), "ey") || strings.Contains(header.Get(gone), "service/shop") {
				t.Errorf("%s gets %s: %q", name, gone, header.Values(gone))
			}
		}
		if strings.Contains(header.Get("Cookie"), "CF_") {
			t.Errorf("%s gets the cookies %q", name, header.Get("Cookie"))
		}
		claims := readToken(t, at.Keys, strings.Join(header.Values("X-Heddle-Token"), " and "))
		if claims.Subject != "spiffe://heddle.local/gateway/edge" || fmt.Sprint(claims.Audience) != "[spiffe://heddle.local/service/"+name+"]" {
			t.Errorf("%s gets a token that says %+v", name, claims)
		}
		return claims.User.Subject + claims.User.Email + strings.Join(claims.User.Groups, ",")
	}

	t.Run("each backend and each copy has its own token", func(t *testing.T) {
		g.wants("shop.example.com", "/", http.StatusOK, "shop", ada, lies)
		seen := map[string]string{}
		heddletest.Eventually(t, "both backends and the copies", func() error {
			if got, err := ask(t, g.http, "shop.example.com", "/", ada, lies, bring("Cookie", "a=b; CF_Authorization=x")); err != nil || got.status != http.StatusOK {
				t.Errorf("%+v, %v", got, err)
			}
			for _, name := range []string{"shop", "orders", "copies"} {
				if user := reads(name); user != "" {
					seen[name] = user
				}
			}
			if len(seen) < 3 {
				return fmt.Errorf("seen: %v", seen)
			}
			return nil
		})
		for name, user := range seen {
			if user != "ada-1ada@acme.exampleeng" {
				t.Errorf("at %s the user is %q", name, user)
			}
		}
	})
	t.Run("who gets where", func(t *testing.T) {
		for _, one := range []struct {
			host, path string
			with       func(*http.Request)
			status     int
			reason     string
		}{
			{"shop.example.com", "/", lies, 401, "no_token"},
			{"shop.example.com", "/", bo, 401, "no_token"},
			{"shop.example.com", "/", bring("Cookie", "a=b; CF_Authorization="+users.staff(t, nil)), 200, ""},
			{"shop.example.com", "/", bring("Cf-Access-Jwt-Assertion", "x.y.z"), 401, "malformed_token"},
			{"shop.example.com", "/", bring("Cf-Access-Jwt-Assertion", strings.Repeat("x", 50_000)), 401, "malformed_token"},
			{"shop.example.com", "/", bring("Cf-Access-Jwt-Assertion", strings.Repeat("x", 62_000)), 431, ""},
			{"shop.example.com", "/", bring("Cf-Access-Jwt-Assertion", users.staff(t, map[string]any{"exp": 1})), 401, "expired_token"},
			{"other.example.com", "/", ada, 401, "wrong_audience"},
			{"other.example.com", "/", bring("Cf-Access-Jwt-Assertion", users.staff(t, map[string]any{"aud": []string{otherTag}})), 200, ""},
			{"nobody.example.com", "/", ada, 403, "no_audience"},
			{"partners.example.com", "/", bo, 200, ""},
			{"partners.example.com", "/", ada, 401, "no_token"},
			{"partners.example.com", "/", bring("Authorization", "Bearer "+users.staff(t, nil)), 401, "malformed_token"},
			{"shop.example.com", "/open/x", lies, 200, ""},
			{"shop.example.com", "/open/../secret", lies, 401, "no_token"},
			{"shop.example.com", "/open/%2e%2e/secret", lies, 401, "no_token"},
			{"shop.example.com", "//secret", lies, 401, "no_token"},
			{"shop.example.com", "/open/%2e%2e%2fsecret", lies, 307, ""},
			{"shop.example.com", "/open;/secret", lies, 400, "path"},
			{"moved.example.com", "/", lies, 302, ""},
			{"moved-inside.example.com", "/", lies, 401, "no_token"},
			{"moved-inside.example.com", "/", ada, 302, ""},
			{"unknown.example.com", "/", lies, 404, "no-route"},
		} {
			got, err := ask(t, g.http, one.host, one.path, one.with)
			if err != nil || got.status != one.status || got.header.Get("X-Heddle-Reason") != one.reason || (one.status == 401) != (got.header.Get("WWW-Authenticate") != "") {
				t.Errorf("%s%s: %d %v %s, %v", one.host, one.path, got.status, got.header, got.body, err)
			}
			if one.status != http.StatusOK {
				for _, inner := range []string{"orders", "gateway/", "spiffe", "secret.example.com"} {
					if strings.Contains(got.body, inner) || one.status == 401 && strings.Contains(fmt.Sprint(got.header), inner) {
						t.Errorf("%s%s: a stranger is told of %q: %v %s", one.host, one.path, inner, got.header, got.body)
					}
				}
			}
		}
		reads("shop")
		reads("orders")
	})
	t.Run("an open route has a token without a user", func(t *testing.T) {
		g.wants("shop.example.com", "/open", http.StatusOK, "shop", lies)
		if user := reads("shop"); user != "" {
			t.Errorf("the user is %q", user)
		}
	})
	t.Run("nothing passes unasked", func(t *testing.T) {
		s.Kill() // and the AuthZ service with it
		for _, host := range []string{"shop.example.com", "partners.example.com"} {
			got, err := ask(t, g.http, host, "/", ada, bo)
			if err != nil || got.status != http.StatusServiceUnavailable || got.header.Get("X-Heddle-Reason") != "no-authorizer" {
				t.Errorf("%s: %+v, %v", host, got, err)
			}
		}
		if got, err := ask(t, g.http, "moved.example.com", "/"); err != nil || got.status != http.StatusFound {
			t.Errorf("a redirect: %+v, %v", got, err)
		}
		s.restart()
		g.wants("partners.example.com", "/", http.StatusOK, "orders", bo)
	})
}
