package authz

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestTheDocumentsLeadToTheKeys(t *testing.T) {
	t.Parallel()
	keys := loadedKeyring(t, KeyringConfig{Type: RSA2048})
	handler := Handler(keys, testIssuer)
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRecorder()
		handler.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		return r
	}
	var discovery struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(get(DiscoveryPath).Body.Bytes(), &discovery); err != nil || discovery.Issuer != testIssuer || discovery.JWKS != testIssuer+JWKSPath {
		t.Errorf("%+v, %v", discovery, err)
	}
	var set jose.JSONWebKeySet
	answer := get(JWKSPath)
	if err := json.Unmarshal(answer.Body.Bytes(), &set); err != nil || len(set.Keys) != 1 || !set.Keys[0].IsPublic() || !set.Keys[0].Valid() {
		t.Errorf("%+v, %v", set, err)
	}
	if answer.Header().Get("Cache-Control") != maxAge {
		t.Errorf("headers %v", answer.Header())
	}
	post := httptest.NewRecorder()
	handler.ServeHTTP(post, httptest.NewRequest(http.MethodPost, JWKSPath, nil))
	if post.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", post.Code)
	}
	empty := httptest.NewRecorder()
	Handler(NewKeyring(KeyringConfig{Store: Dir(t.TempDir())}), testIssuer).ServeHTTP(empty, httptest.NewRequest(http.MethodGet, JWKSPath, nil))
	if empty.Code != http.StatusServiceUnavailable {
		t.Errorf("without keys: %d", empty.Code)
	}
}
