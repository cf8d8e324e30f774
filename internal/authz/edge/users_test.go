package edge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
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
	ada := authz.User{Email: "ada@acme.example", Subject: "7335d417-61da-459d-899c-0a01c76a2f94"}
	adaIn := func(groups ...string) authz.User {
		return authz.User{Email: ada.Email, Subject: ada.Subject, Groups: groups}
	}
	bo := authz.User{Email: "bo@example.org", Subject: "u1", Groups: []string{"buyers"}}
	for name, one := range map[string]struct {
		edge, payload string
		want          authz.User
	}{
		"a person":                    {"staff", i.person(nil), ada},
		"aud as one string":           {"staff", i.person(map[string]any{"aud": tag}), ada},
		"times with fractions":        {"staff", i.person(map[string]any{"exp": float64(i.clock.Now().Unix()) + 60.5}), ada},
		"groups":                      {"staff", i.person(map[string]any{"groups": []string{"eng", "ops"}}), adaIn("eng", "ops")},
		"groups among custom claims":  {"staff", i.person(map[string]any{"custom": map[string]any{"groups": []string{"eng"}, "x": 1}}), adaIn("eng")},
		"a service token":             {"staff", i.person(map[string]any{"sub": "", "email": nil, "common_name": "e367826f93b8d71185e03fe518aff3b4.access"}), authz.User{Service: "e367826f93b8d71185e03fe518aff3b4.access"}},
		"a person's own common_name":  {"staff", i.person(map[string]any{"common_name": "root"}), ada},
		"a service token with groups": {"staff", i.person(map[string]any{"sub": "", "common_name": "x.access", "email": "root@acme.example", "groups": []string{"admins"}}), authz.User{Service: "x.access"}},

		"a member":                           {"partners", i.member(nil), bo},
		"one group":                          {"partners", i.member(map[string]any{"groups": "buyers"}), bo},
		"an email that is verified":          {"partners", i.member(map[string]any{"email_verified": true}), bo},
		"an email that is not":               {"partners", i.member(map[string]any{"email_verified": false}), authz.User{Subject: "u1", Groups: []string{"buyers"}}},
		"an email that is not, said in text": {"partners", i.member(map[string]any{"email_verified": "false"}), authz.User{Subject: "u1", Groups: []string{"buyers"}}},
		"no groups":                          {"partners", i.member(map[string]any{"groups": nil}), authz.User{Email: bo.Email, Subject: "u1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := asks(t, e, one.edge, sign(keyOf("before"), header(map[string]any{"kid": "before"}), one.payload))
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
		edge  string
		visit authz.Visit
		want  authz.Reason
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
		"a token of the other edge":      {"partners", authz.Visit{Authorization: "Bearer " + ada}, authz.WrongIssuer},
		"an edge that nobody set up":     {"visitors", authz.Visit{Assertion: ada}, authz.UnknownEdge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := e.Visitor(t.Context(), one.edge, one.visit); reasonOf(t, err) != one.want {
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
	c.Edges[1].OIDC.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
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
