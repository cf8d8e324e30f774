package edge

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tag        = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"
	cloudflare = "https://acme.cloudflareaccess.com"
)

// clock is a clock that tests set.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.now.Load()) }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// keyOf makes the issuer's keys once: that takes long.
var keyOf = func() func(string) *rsa.PrivateKey {
	var mu sync.Mutex
	made := map[string]*rsa.PrivateKey{}
	return func(kid string) *rsa.PrivateKey {
		mu.Lock()
		defer mu.Unlock()
		if made[kid] == nil {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			made[kid] = key
		}
		return made[kid]
	}
}()

// testIssuer is an identity provider: it signs, and publishes its keys over TLS.
type testIssuer struct {
	*httptest.Server
	clock *clock
	ca    string // file
	gets  atomic.Int64

	mu    sync.Mutex
	kids  []string                                     // guarded by mu: what it publishes
	extra []any                                        // guarded by mu: keys of other kinds
	fault func(w http.ResponseWriter, r *http.Request) // guarded by mu: answers instead; nil: none
}

func newTestIssuer(t testing.TB) *testIssuer {
	t.Helper()
	i := &testIssuer{clock: newClock(), kids: []string{"now", "before"}, ca: filepath.Join(t.TempDir(), "ca.pem")}
	i.Server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.StartTLS()
	t.Cleanup(i.Close)
	if err := os.WriteFile(i.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *testIssuer) serve(w http.ResponseWriter, r *http.Request) {
	i.gets.Add(1)
	i.mu.Lock()
	fault, kids, keys := i.fault, i.kids, append([]any{}, i.extra...)
	i.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "response_types_supported": []string{"code"}})
	default:
		w.Header().Set("Content-Type", "text/html") // not trusted, either way
		for _, kid := range kids {
			keys = append(keys, jose.JSONWebKey{Key: &keyOf(kid).PublicKey, KeyID: kid, Algorithm: "RS256", Use: "sig"})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys, "public_cert": map[string]string{"kid": "now", "cert": "-----BEGIN…"}})
	}
}

// publishes changes what it publishes.
func (i *testIssuer) publishes(kids ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kids = kids
}

// fails has it answer otherwise; nil ends that.
func (i *testIssuer) fails(fault func(http.ResponseWriter, *http.Request)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault = fault
}

// config sets up one provider of each kind with this issuer.
func (i *testIssuer) config() Config {
	return Config{Providers: []Provider{
		{Name: "staff", CAFile: i.ca, CloudflareAccess: &CloudflareAccess{Team: "acme", Audiences: []string{"another", tag}, CertsURL: i.URL + "/cdn-cgi/access/certs"}},
		{Name: "partners", CAFile: i.ca, OIDC: &OIDC{Issuer: i.URL, Audiences: []string{"shop"}}},
	}}
}

// run makes providers that fetch until the test ends.
func (i *testIssuer) run(t testing.TB, c Config) *Providers {
	t.Helper()
	e, err := New(c, i.clock.Now, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func encoded(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func header(changes map[string]any) string {
	h := map[string]any{"alg": "RS256", "kid": "now", "typ": "JWT"}
	maps.Copy(h, changes)
	return encoded(h)
}

// person is what Cloudflare says of a person, changed.
func (i *testIssuer) person(changes map[string]any) string {
	now := i.clock.Now().Unix()
	c := map[string]any{
		"iss": cloudflare, "aud": []string{tag}, "email": "ada@acme.example", "sub": "7335d417-61da-459d-899c-0a01c76a2f94", "type": "app",
		"iat": now, "nbf": now, "exp": now + 3600, "identity_nonce": "x", "country": "DE",
	}
	maps.Copy(c, changes)
	return encoded(c)
}

// member is what the OIDC issuer says of a person, changed.
func (i *testIssuer) member(changes map[string]any) string {
	now := i.clock.Now().Unix()
	c := map[string]any{"iss": i.URL, "aud": "shop", "sub": "u1", "email": "bo@example.org", "groups": []string{"buyers"}, "iat": now, "exp": now + 300}
	maps.Copy(c, changes)
	return encoded(c)
}

// sign signs by RS256, whatever the header says.
func sign(key *rsa.PrivateKey, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(signature)
}

// asks gives the user of a token, in the place where its provider wants it.
func asks(t testing.TB, p *Providers, provider, token string) (authz.User, error) {
	t.Helper()
	got, err := p.Visitor(t.Context(), authz.Visit{Provider: provider, Assertion: token, Authorization: "Bearer " + token})
	return got.User, err
}

// reasonOf is why a token was not taken: "" it was, "unavailable" it could not be said.
func reasonOf(t testing.TB, err error) authz.Reason {
	t.Helper()
	var unproven *authz.Unproven
	var refused *mesh.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &unproven):
		if unproven.Message == "" || (unproven.Challenge != "") != unproven.Reason.Unauthorized() {
			t.Errorf("a refusal without a message, or with the challenge %q: %v", unproven.Challenge, unproven)
		}
		return unproven.Reason
	case errors.As(err, &refused) && refused.Kind == mesh.KindUnavailable:
		return "unavailable"
	}
	t.Fatalf("an error of no kind: %v", err)
	return ""
}
