package authz

import (
	"encoding/json"
	"net/http"
)

// The paths that [Handler] serves.
const (
	JWKSPath      = "/.well-known/jwks.json"
	DiscoveryPath = "/.well-known/openid-configuration"
)

// maxAge is how long validators may keep the key set: far less than a key is
// published before it signs.
const maxAge = "max-age=300"

// Handler serves the public keys, and the document that says where they are
// (OpenID Connect Discovery 1.0). issuer is what tokens say, a URL.
func Handler(keys *Keyring, issuer string) http.Handler {
	document, _ := json.Marshal(map[string]any{ // strings always can be
		"issuer":                                issuer,
		"jwks_uri":                              issuer + JWKSPath,
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA"},
	})
	serve := func(w http.ResponseWriter, kind string, body []byte) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", maxAge)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body) // a reader that has gone needs nothing
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+JWKSPath, func(w http.ResponseWriter, _ *http.Request) {
		if !keys.Ready() {
			http.Error(w, "the keys have not been read yet", http.StatusServiceUnavailable)
			return
		}
		serve(w, "application/jwk-set+json", keys.JWKS())
	})
	mux.HandleFunc("GET "+DiscoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		serve(w, "application/json", document)
	})
	return mux
}
