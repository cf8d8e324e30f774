package ui_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

// provider is an OpenID Connect provider at which everybody is signed in already:
// discovery, authorization code with PKCE, and keys.
type provider struct {
	t      *testing.T
	url    string
	key    *rsa.PrivateKey
	signer *rsa.PrivateKey // signs; the key, unless a test has another one sign
	change func(claims map[string]any)
	groups any

	onlyKnown bool
	owners    []string
	readers   []string

	mu    sync.Mutex
	codes map[string]url.Values // guarded by mu; what each code was given for, once
}

const clientSecret = "a secret, with & and % in it"

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, signer: key, codes: map[string]url.Values{}, change: func(map[string]any) {}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{
			"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token", "jwks_uri": p.url + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "one", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	listener := httptest.NewServer(mux)
	t.Cleanup(listener.Close)
	p.url = listener.URL
	return p
}

// use has a site sign people in here.
func (p *provider) use(c *ui.Config) {
	c.Sessions = session.New(session.Config{Registry: c.Registry, OIDC: p.config(), Owners: owners(c)})
}

func owners(c *ui.Config) func() map[string]bool {
	return func() map[string]bool { return c.Catalog.View().Owners() }
}

func (p *provider) config() *session.OIDC {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return &session.OIDC{
		Issuer: p.url, ClientID: "heddle", ClientSecret: clientSecret, OwnersClaim: "groups", Owners: p.owners, Admins: []string{"mesh-admins"}, OnlyKnown: p.onlyKnown, Readers: p.readers, Scopes: []string{"groups"}, Client: client,
	}
}

func (p *provider) answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	if asked.Get("client_id") != "heddle" || asked.Get("response_type") != "code" || asked.Get("scope") != "openid email profile groups" || asked.Get("code_challenge_method") != "S256" || asked.Get("nonce") == "" || len(asked.Get("state")) < 40 {
		http.Error(w, "not what a client should ask: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = asked
	p.mu.Unlock()
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {asked.Get("state")}, "iss": {p.url}}.Encode(), http.StatusFound)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	asked, known := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	secret, _ = url.QueryUnescape(secret)
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !known || id != "heddle" || secret != clientSecret || r.FormValue("redirect_uri") != asked.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	claims := map[string]any{
		"iss": p.url, "sub": "00u1", "aud": "heddle", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": asked.Get("nonce"),
		"email": "ada@example.com", "email_verified": true, "name": "Ada Lovelace", "groups": p.groups,
	}
	p.change(claims)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: p.signer}, (&jose.SignerOptions{}).WithHeader("kid", "one"))
	if err != nil {
		p.t.Error(err)
		return
	}
	signed, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		p.t.Error(err)
		return
	}
	p.answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": signed})
}

// begin starts a sign-in, and gives the cookie that the browser keeps and the
// address that the provider sends it back to.
func (p *provider) begin(s *site, next string) (cookie, back string) {
	s.t.Helper()
	begun := s.get("", "/ui/oidc/start?next="+url.QueryEscape(next))
	cookie, _, _ = strings.Cut(begun.header.Get("Set-Cookie"), ";")
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, begun.header.Get("Location"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := s.http.Transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusFound {
		s.t.Fatalf("the provider answers %s", response.Status)
	}
	return cookie, strings.TrimPrefix(response.Header.Get("Location"), s.url)
}

// sessionOf is the session's cookie in an answer; "": none was set.
func sessionOf(got reply) string {
	for _, one := range got.header.Values("Set-Cookie") {
		if cookie, _, _ := strings.Cut(one, ";"); strings.HasPrefix(cookie, "heddle_oidc=") && cookie != "heddle_oidc=" {
			return cookie
		}
	}
	return ""
}
