package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// The tags of two applications of the test's Cloudflare team.
const shopTag, otherTag = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2", "00000000000000000000000000000000000000000000000000000000000000ff"

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// issuer stands in for Cloudflare's certs endpoint and for an OIDC issuer.
type issuer struct {
	*httptest.Server
	signers map[jose.SignatureAlgorithm]jose.SigningKey
	config  string // file for --edge-config: Cloudflare Access is staff, OIDC is partners
}

func startIssuer(t testing.TB) *issuer {
	t.Helper()
	long, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{signers: map[jose.SignatureAlgorithm]jose.SigningKey{
		jose.RS256: {Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: long, KeyID: "rsa"}},
		jose.ES256: {Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: curve, KeyID: "curve"}},
	}}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: long.Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"}, {Key: curve.Public(), KeyID: "curve"}}}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/openid-configuration" {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
			return
		}
		_ = json.NewEncoder(w).Encode(keys)
	}))
	t.Cleanup(i.Close)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	i.config = filepath.Join(dir, "providers.json")
	for file, data := range map[string][]byte{
		ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}),
		i.config: fmt.Appendf(nil, `{"providers": [
			{"name": "staff", "caFile": %[1]q, "cloudflareAccess": {"team": "acme", "certsURL": %[2]q}},
			{"name": "partners", "caFile": %[1]q, "oidc": {"issuer": %[3]q, "audiences": ["shop"], "algorithms": ["ES256"]}}]}`, ca, i.URL+"/cdn-cgi/access/certs", i.URL),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func (i *issuer) sign(t testing.TB, algorithm jose.SignatureAlgorithm, claims map[string]any, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	said := map[string]any{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(said, claims)
	maps.Copy(said, changes)
	signer, err := jose.NewSigner(i.signers[algorithm], nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(said).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// staff is Cloudflare's token of ada for the shop, changed.
func (i *issuer) staff(t testing.TB, changes map[string]any) string {
	t.Helper()
	return i.sign(t, jose.RS256, map[string]any{
		"iss": "https://acme.cloudflareaccess.com", "aud": []string{shopTag}, "email": "ada@acme.example", "sub": "ada-1", "type": "app",
	}, changes)
}

// partner is the OIDC issuer's token of bo, changed.
func (i *issuer) partner(t testing.TB, changes map[string]any) string {
	t.Helper()
	return i.sign(t, jose.ES256, map[string]any{"iss": i.URL, "aud": "shop", "sub": "bo-1", "groups": []string{"buyers"}}, changes)
}

// bring adds a header to a request.
func bring(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// meshClaims are what a token of the mesh says.
type meshClaims struct {
	Issuer   string       `json:"iss"`
	Subject  string       `json:"sub"`
	Audience jwt.Audience `json:"aud"`
	User     struct {
		Issuer  string   `json:"iss"`
		Email   string   `json:"email"`
		Subject string   `json:"sub"`
		Groups  []string `json:"groups"`
	} `json:"usr"`
}

// readToken checks a token of the mesh by the keys that the AuthZ service at that
// URL publishes.
func readToken(t testing.TB, keysAt, raw string) (claims meshClaims) {
	t.Helper()
	response, err := plainClient.Get(keysAt + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if err := parsed.Claims(keys, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
