package edge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/authz"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	e := i.run(t, i.config())
	ada := authz.User{Issuer: cloudflare, Email: "ada@acme.example", Subject: "7335d417-61da-459d-899c-0a01c76a2f94"}
	adaIn := func(groups ...string) authz.User {
		return authz.User{Issuer: cloudflare, Email: ada.Email, Subject: ada.Subject, Groups: groups}
	}
	bo := authz.User{Issuer: i.URL, Email: "bo@example.org", Subject: "u1", Groups: []string{"buyers"}}
	for name, one := range map[string]struct {
		provider, payload string
		want              authz.User
	}{
		"a person":                    {"staff", i.person(nil), ada},
		"aud as one string":           {"staff", i.person(map[string]any{"aud": tag}), ada},
		"times with fractions":        {"staff", i.person(map[string]any{"exp": float64(i.clock.Now().Unix()) + 60.5}), ada},
		"groups":                      {"staff", i.person(map[string]any{"groups": []string{"eng", "ops"}}), adaIn("eng", "ops")},
		"groups among custom claims":  {"staff", i.person(map[string]any{"custom": map[string]any{"groups": []string{"eng"}, "x": 1}}), adaIn("eng")},
		"a service token":             {"staff", i.person(map[string]any{"sub": "", "email": nil, "common_name": "e367826f93b8d71185e03fe518aff3b4.access"}), authz.User{Issuer: cloudflare, Service: "e367826f93b8d71185e03fe518aff3b4.access"}},
		"a person's own common_name":  {"staff", i.person(map[string]any{"common_name": "root"}), ada},
		"a service token with groups": {"staff", i.person(map[string]any{"sub": "", "common_name": "x.access", "email": "root@acme.example", "groups": []string{"admins"}}), authz.User{Issuer: cloudflare, Service: "x.access"}},

		"a member":                           {"partners", i.member(nil), bo},
		"one group":                          {"partners", i.member(map[string]any{"groups": "buyers"}), bo},
		"an email that is verified":          {"partners", i.member(map[string]any{"email_verified": true}), bo},
		"an email that is not":               {"partners", i.member(map[string]any{"email_verified": false}), authz.User{Issuer: i.URL, Subject: "u1", Groups: []string{"buyers"}}},
		"an email that is not, said in text": {"partners", i.member(map[string]any{"email_verified": "false"}), authz.User{Issuer: i.URL, Subject: "u1", Groups: []string{"buyers"}}},
		"no groups":                          {"partners", i.member(map[string]any{"groups": nil}), authz.User{Issuer: i.URL, Email: bo.Email, Subject: "u1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := asks(t, e, one.provider, sign(keyOf("before"), header(map[string]any{"kid": "before"}), one.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(one.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A user has to fit in a header.
func TestTooManyGroups(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	e := i.run(t, i.config())
	groups := func(n int) []string {
		var list []string
		for k := range n {
			list = append(list, fmt.Sprintf("group-%04d", k))
		}
		return list
	}
	for n, want := range map[int]authz.Reason{500: "", 700: authz.TooManyGroups} {
		if _, err := asks(t, e, "staff", sign(keyOf("now"), header(nil), i.person(map[string]any{"groups": groups(n)}))); reasonOf(t, err) != want {
			t.Errorf("%d groups: %v", n, err)
		}
	}
}

// The header comes before the cookie, and what it brings is not passed over.
func TestWhereTheTokenIs(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	e := i.run(t, i.config())
	ada, member := sign(keyOf("now"), header(nil), i.person(nil)), sign(keyOf("now"), header(nil), i.member(nil))
	for name, one := range map[string]struct {
		provider string
		visit    authz.Visit
		want     authz.Reason
	}{
		"header":                         {"staff", authz.Visit{Assertion: ada}, ""},
		"cookie":                         {"staff", authz.Visit{Cookie: "a=b; CF_Authorization=" + ada + "; c=d"}, ""},
		"header before cookie":           {"staff", authz.Visit{Assertion: ada, Cookie: "CF_Authorization=x"}, ""},
		"a bad header and a good cookie": {"staff", authz.Visit{Assertion: "x", Cookie: "CF_Authorization=" + ada}, authz.MalformedToken},
		"the first of two cookies":       {"staff", authz.Visit{Cookie: "CF_Authorization=x; CF_Authorization=" + ada}, authz.MalformedToken},
		"a cookie of a longer name":      {"staff", authz.Visit{Cookie: "XCF_Authorization=" + ada}, authz.NoToken},
		"a cookie of another case":       {"staff", authz.Visit{Cookie: "cf_authorization=" + ada}, authz.NoToken},
		"Authorization of Cloudflare":    {"staff", authz.Visit{Authorization: "Bearer " + ada}, authz.NoToken},
		"bearer":                         {"partners", authz.Visit{Authorization: "Bearer " + member}, ""},
		"bearer in small letters":        {"partners", authz.Visit{Authorization: "bearer  " + member}, ""},
		"basic":                          {"partners", authz.Visit{Authorization: "Basic " + member}, authz.NoToken},
		"no scheme":                      {"partners", authz.Visit{Authorization: member}, authz.NoToken},
		"bearer of nothing":              {"partners", authz.Visit{Authorization: "Bearer "}, authz.NoToken},
		"Cloudflare's header of OIDC":    {"partners", authz.Visit{Assertion: member}, authz.NoToken},
		"a token of the other provider":  {"partners", authz.Visit{Authorization: "Bearer " + ada}, authz.WrongIssuer},
		"a provider that nobody set up":  {"visitors", authz.Visit{Assertion: ada}, authz.UnknownProvider},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one.visit.Provider = one.provider
			if _, err := e.Visitor(t.Context(), one.visit); reasonOf(t, err) != one.want {
				t.Errorf("refused with %q, want %q", reasonOf(t, err), one.want)
			}
		})
	}
}

// An OIDC issuer may sign otherwise, if the setting says so; with one key only what
// that key is for.
func TestAlgorithmsAreASetting(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.extra = []any{
		jose.JSONWebKey{Key: &curve.PublicKey, KeyID: "curve"}, jose.JSONWebKey{Key: public, KeyID: "edwards"},
		map[string]string{"kty": "oct", "kid": "secret", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
		jose.JSONWebKey{Key: &keyOf("now").PublicKey, KeyID: "encrypts", Use: "enc"},
		jose.JSONWebKey{Key: keyOf("now"), KeyID: "private"},
		map[string]string{"kty": "new", "kid": "of a kind to come"},
	}
	c := i.config()
	c.Providers[1].OIDC.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
	e := i.run(t, c)
	for name, one := range map[string]struct {
		token string
		want  authz.Reason
	}{
		"RS256":                         {signedBy(t, jose.RS256, keyOf("now"), "now", i.member(nil)), ""},
		"ES256":                         {signedBy(t, jose.ES256, curve, "curve", i.member(nil)), ""},
		"EdDSA":                         {signedBy(t, jose.EdDSA, edwards, "edwards", i.member(nil)), ""},
		"PS256 with a key for RS256":    {signedBy(t, jose.PS256, keyOf("now"), "now", i.member(nil)), authz.MalformedToken},
		"RS256 with the curve's id":     {signedBy(t, jose.RS256, keyOf("now"), "curve", i.member(nil)), authz.WrongSignature},
		"RS384, which is not allowed":   {signedBy(t, jose.RS384, keyOf("now"), "now", i.member(nil)), authz.MalformedToken},
		"HS256 with a published secret": {hmacToken([]byte("secretsecretsecretsecretsecret"), header(map[string]any{"alg": "HS256", "kid": "secret"}), i.member(nil)), authz.MalformedToken},
		"a key for encryption":          {signedBy(t, jose.RS256, keyOf("now"), "encrypts", i.member(nil)), authz.UnknownKey},
		"a key that was let out":        {signedBy(t, jose.RS256, keyOf("now"), "private", i.member(nil)), authz.UnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := asks(t, e, "partners", one.token); reasonOf(t, err) != one.want {
				t.Errorf("refused with %q, want %q (%v)", reasonOf(t, err), one.want, err)
			}
		})
	}
}

// Each route may be for an application of its own; without one, and none in the
// settings, nobody gets in.
func TestAudienceOfTheRoute(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	c := i.config()
	c.Providers[1].OIDC.Audiences = nil
	p := i.run(t, c)
	for name, one := range map[string]struct {
		provider, audience string
		audiences          any // of the token
		want               authz.Reason
	}{
		"the settings' own":               {"staff", "", []string{tag}, ""},
		"the route's":                     {"staff", "of-the-route", []string{"of-the-route"}, ""},
		"the route's among others":        {"staff", "of-the-route", []string{"a", "of-the-route"}, ""},
		"the settings', and a route has":  {"staff", "of-the-route", []string{tag}, authz.WrongAudience},
		"the route's, and it is in none":  {"partners", "of-the-route", "of-the-route", ""},
		"another, and it is in none":      {"partners", "of-the-route", "shop", authz.WrongAudience},
		"neither route nor settings":      {"partners", "", "shop", authz.NoAudience},
		"neither, nor the token":          {"partners", "", "", authz.NoAudience},
		"the token's is empty":            {"partners", "of-the-route", "", authz.WrongAudience},
		"a longer one than the route's":   {"staff", "of-the-route", []string{"of-the-route2"}, authz.WrongAudience},
		"the route's in another spelling": {"staff", "of-the-route", []string{"Of-The-Route"}, authz.WrongAudience},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payload := i.person
			if one.provider == "partners" {
				payload = i.member
			}
			token := sign(keyOf("now"), header(nil), payload(map[string]any{"aud": one.audiences}))
			_, err := p.Visitor(t.Context(), authz.Visit{Provider: one.provider, Audience: one.audience, Assertion: token, Authorization: "Bearer " + token})
			if reasonOf(t, err) != one.want {
				t.Errorf("refused with %q, want %q", reasonOf(t, err), one.want)
			}
		})
	}
}

// What proved the user is taken from the request, in all places where it may be.
func TestWhatIsTakenFromTheRequest(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	p := i.run(t, i.config())
	ada, member := sign(keyOf("now"), header(nil), i.person(nil)), sign(keyOf("now"), header(nil), i.member(nil))
	cloudflares := []string{"cf-access-jwt-assertion", "cf-access-authenticated-user-email"}
	for name, one := range map[string]struct {
		visit  authz.Visit
		remove []string
		cookie string
	}{
		"the header":                {authz.Visit{Provider: "staff", Assertion: ada}, cloudflares, ""},
		"other cookies stay":        {authz.Visit{Provider: "staff", Assertion: ada, Cookie: "a=b"}, cloudflares, ""},
		"the only cookie":           {authz.Visit{Provider: "staff", Cookie: "CF_Authorization=" + ada}, append(cloudflares[:2:2], "cookie"), ""},
		"one of the cookies":        {authz.Visit{Provider: "staff", Cookie: "a=b; CF_Authorization=" + ada + ";c=d"}, cloudflares, "a=b; c=d"},
		"the cookie not looked at":  {authz.Visit{Provider: "staff", Assertion: ada, Cookie: "CF_Authorization=x; a=b; CF_Authorization=y"}, cloudflares, "a=b"},
		"the cookie in two lines":   {authz.Visit{Provider: "staff", Assertion: ada, Cookie: "a=b,CF_Authorization=x; c=d"}, cloudflares, "c=d"},
		"a bearer":                  {authz.Visit{Provider: "partners", Authorization: "Bearer " + member}, []string{"authorization"}, ""},
		"a bearer, and Cloudflares": {authz.Visit{Provider: "partners", Authorization: "Bearer " + member, Cookie: "CF_Authorization=x"}, []string{"authorization"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := p.Visitor(t.Context(), one.visit)
			if err != nil || got.Cookie != one.cookie {
				t.Errorf("cookies %q, want %q: %v", got.Cookie, one.cookie, err)
			}
			if diff := cmp.Diff(one.remove, got.Remove); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A refusal says how to get in, and what was wrong with what was sent.
func TestChallenges(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	p := i.run(t, i.config())
	for provider, scheme := range map[string]string{"staff": "Cloudflare-Access", "partners": "Bearer"} {
		for token, want := range map[string]string{
			"":  scheme + ` realm="` + provider + `"`,
			"x": scheme + ` realm="` + provider + `", error="invalid_token", error_description="what was sent is not a signed token"`,
		} {
			_, err := asks(t, p, provider, token)
			var refused *authz.Unproven
			if !errors.As(err, &refused) || refused.Challenge != want {
				t.Errorf("%s is asked with %q: %+v, want %s", provider, token, refused, want)
			}
		}
	}
}
