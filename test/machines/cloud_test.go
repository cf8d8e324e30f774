package machines_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
)

const (
	subscription   = "00000000-0000-0000-0000-00000000abcd"
	controlPlaneID = "6f0e6f0e-0000-0000-0000-00000000c0de"
	gatewayID      = "6f0e6f0e-0000-0000-0000-00000000ed9e"
	vaultHost      = "mesh.vault.azure.net"
	releasesHost   = "releases.example.com"
)

// azureCloud is what machines reach of Azure, over real HTTP: the service of instance
// metadata, a Key Vault that knows who may do what, Resource Graph, and an address that the
// programs are fetched from.
type azureCloud struct {
	*azuretest.Azure
	files *files

	mu      sync.Mutex
	secrets map[string]stored // guarded by mu
	refused map[string]int    // by identities: how often before their roles were in force; guarded by mu
	wrong   []string          // what none of our machines may ask for; guarded by mu
}

type stored struct {
	value   string
	expires time.Time // zero: never
	writes  int
}

// roles say which identity may do what with which secret.
var roles = map[string]map[string]string{
	controlPlaneID: {"join-gateway-edge": "get set", "control-plane-authority": "get set"},
	gatewayID:      {"join-gateway-edge": "get", "edge-tls": "get"},
}

// lag is how often an identity is refused before its role is in force.
const lag = 2

func newCloud(t *testing.T, programs map[string]string) (cloud *azureCloud, authority string) {
	t.Helper()
	cloud = &azureCloud{Azure: azuretest.New(t), files: &files{programs: programs, asked: map[string]int{}}, secrets: map[string]stored{}, refused: map[string]int{}}
	cloud.Show(subscription + "/heddle-mesh") // Reader on the group, as the module gives it
	certificate, authority := certify(t, vaultHost, releasesHost, "management.azure.com")
	manager, err := url.Parse(cloud.URL)
	if err != nil {
		t.Fatal(err)
	}
	graph := httputil.NewSingleHostReverseProxy(manager)
	serve(t, "169.254.169.254:80", nil, cloud.metadata)
	serve(t, "10.77.0.1:443", []tls.Certificate{certificate}, func(w http.ResponseWriter, r *http.Request) {
		switch r.Host {
		case vaultHost:
			cloud.vault(w, r)
		case releasesHost:
			cloud.files.answer(w, r)
		default:
			graph.ServeHTTP(w, r)
		}
	})
	return cloud, authority
}

// metadata gives a managed identity its token for one audience.
func (c *azureCloud) metadata(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	resource, id := strings.TrimSuffix(query.Get("resource"), "/"), query.Get("client_id")
	token := "token-1" // as azuretest takes it
	switch {
	case r.Header.Get("Metadata") != "true" || roles[id] == nil || query.Get("api-version") == "":
		c.complain("metadata: %s", r.URL)
		http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
		return
	case resource == "https://vault.azure.net":
		token = "vault-" + id
	case resource != "https://management.core.windows.net" || id != controlPlaneID: // as the SDK calls Resource Manager in the public cloud
		c.complain("metadata: a token of %s for %s", id, resource)
		http.Error(w, `{"error":"invalid_resource"}`, http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{
		"access_token": token, "token_type": "Bearer", "resource": resource, "client_id": id,
		"expires_in": "86400", "expires_on": fmt.Sprint(time.Now().Add(24 * time.Hour).Unix()),
	})
}

// vault answers as the REST API of a Key Vault's secrets does.
func (c *azureCloud) vault(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/secrets/")
	id := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer vault-")
	right := map[string]string{http.MethodGet: "get", http.MethodPut: "set"}[r.Method]
	switch {
	case roles[id] == nil || r.URL.Query().Get("api-version") != "7.4":
		answer(w, http.StatusUnauthorized, "Unauthorized")
	case right == "" || !strings.Contains(roles[id][name], right):
		c.wrong = append(c.wrong, r.Method+" "+name+" by "+id)
		answer(w, http.StatusForbidden, "ForbiddenByRbac")
	case c.refused[id] < lag:
		c.refused[id]++
		answer(w, http.StatusForbidden, "ForbiddenByRbac")
	case right == "set":
		c.set(w, r, name)
	case c.secrets[name].value == "":
		answer(w, http.StatusNotFound, "SecretNotFound")
	default:
		c.give(w, name)
	}
}

func (c *azureCloud) set(w http.ResponseWriter, r *http.Request, name string) {
	var body struct {
		Value      string
		Attributes struct{ Exp int64 }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Value == "" || len(body.Value) > 25_000 || r.Header.Get("Content-Type") != "application/json" {
		answer(w, http.StatusBadRequest, "BadParameter")
		return
	}
	secret := stored{value: body.Value, writes: c.secrets[name].writes + 1}
	if body.Attributes.Exp != 0 {
		secret.expires = time.Unix(body.Attributes.Exp, 0)
	}
	c.secrets[name] = secret
	c.give(w, name)
}

func (c *azureCloud) give(w http.ResponseWriter, name string) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"value": c.secrets[name].value, "id": "https://" + vaultHost + "/secrets/" + name + "/1", "attributes": map[string]any{"enabled": true},
	})
}

func answer(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": "as Azure says"}})
}

func (c *azureCloud) complain(format string, arguments ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, arguments...))
}

func (c *azureCloud) secret(name string) stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secrets[name]
}
