package edge

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/heddle-mesh/heddle/internal/authz"
)

// Whatever comes, nobody is let in but by a token that the issuer signed.
func FuzzToken(f *testing.F) {
	i := &testIssuer{clock: newClock()}
	set := keySet{"now": jose.JSONWebKey{Key: &keyOf("now").PublicKey, KeyID: "now", Algorithm: "RS256"}}
	k := newKeys(func(context.Context) (keySet, error) { return set, nil }, i.clock.Now, slog.New(slog.DiscardHandler))
	k.current.Store(&set)
	k.tried = i.clock.Now() // so that nobody waits for a fetch
	v := &validator{
		name: "staff", issuer: cloudflare, audiences: []string{tag}, scheme: "Cloudflare-Access", allowed: []jose.SignatureAlgorithm{jose.RS256}, skew: defaultSkew,
		now: i.clock.Now, keys: k, token: fromCloudflare, who: cloudflareUser,
	}
	good := sign(keyOf("now"), header(nil), i.person(nil))
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(sign(keyOf("other"), header(map[string]any{"jwk": map[string]string{"kty": "RSA"}, "crit": []string{"b64"}, "b64": false}), i.person(nil)))
	f.Add(b64([]byte(header(map[string]any{"alg": "none"}))) + ".e30.")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := v.user(t.Context(), authz.Visit{Assertion: token})
		err = v.challenge(err)
		if reasonOf(t, err) == "" && token != good {
			t.Errorf("%q is taken", token)
		}
	})
}

// Whatever an issuer signs, it is read or refused, and who comes of it fits.
func FuzzClaims(f *testing.F) {
	i := &testIssuer{clock: newClock()}
	staff := validator{issuer: cloudflare, scheme: "Bearer", skew: defaultSkew, now: i.clock.Now, who: cloudflareUser}
	partners := staff
	partners.who = oidcUser("groups")
	f.Add(i.person(nil), false)
	f.Add(i.person(map[string]any{"sub": "", "common_name": "x.access"}), false)
	f.Add(i.person(map[string]any{"groups": "a", "custom": map[string]any{"groups": []string{"b"}}, "email_verified": "true"}), true)
	f.Add(`{"exp":1e400,"aud":[null],"sub":"\u0000"}`, true)
	f.Fuzz(func(t *testing.T, payload string, oidc bool) {
		v := staff
		if oidc {
			v = partners
		}
		user, err := v.userOf([]byte(payload), []string{tag})
		if reasonOf(t, v.challenge(err)) != "" {
			return
		}
		if (user.Subject == "") == (user.Service == "") || len(user.Claim()) > maxUser {
			t.Errorf("%q gives %+v", payload, user)
		}
	})
}

// What is read of a key set can only verify.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(encoded(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &keyOf("now").PublicKey, KeyID: "now"}, {Key: keyOf("now"), KeyID: "private"}}})))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","kid":"b","x":"AA"},{"kty":"oct","kid":"c","k":"AA"}]}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := readKeySet(data, asymmetric)
		if err == nil && (len(set) == 0 || len(set) > maxKeys) {
			t.Errorf("a set of %d keys", len(set))
		}
		for id, key := range set {
			if !key.IsPublic() || !key.Valid() || id == "" || id != key.KeyID {
				t.Errorf("%q is taken as a key", id)
			}
		}
	})
}

func FuzzDiscovery(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://id.example","jwks_uri":"https://id.example/keys"}`))
	f.Add([]byte(`{"issuer":"https://id.example","jwks_uri":"https://u@[::1%25]:0/%zz"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		url, err := readDiscovery(data, "https://id.example")
		if err == nil && !strings.HasPrefix(strings.ToLower(url), "https://") {
			t.Errorf("keys are fetched from %q", url)
		}
	})
}

func FuzzSource(f *testing.F) {
	f.Add("", "a=b; CF_Authorization=x", "Bearer x")
	f.Add("x", ";;=", "bearer")
	f.Fuzz(func(t *testing.T, assertion, cookie, authorization string) {
		visit := authz.Visit{Assertion: assertion, Cookie: cookie, Authorization: authorization}
		token := fromCloudflare(visit)
		if assertion != "" && token != assertion || assertion == "" && !strings.Contains(cookie, token) {
			t.Errorf("%+v gives %q", visit, token)
		}
		if bearer := fromBearer(visit); !strings.HasSuffix(authorization, bearer) {
			t.Errorf("%q gives %q", authorization, bearer)
		}
		if left := withoutCloudflare(authz.User{}, visit); strings.Contains(left.Cookie, cloudflareCookie) {
			t.Errorf("%+v leaves %q", visit, left.Cookie)
		}
	})
}
