package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/authz"
)

// TestUsersAtTheEdge has a server take the users of an OIDC issuer, and give the
// service behind a gateway a token that names them.
func TestUsersAtTheEdge(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var issuer *httptest.Server
	issuer = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == authz.DiscoveryPath {
			fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, issuer.URL, issuer.URL+"/keys")
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	}))
	defer issuer.Close()
	token := func(audience string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := jwt.Signed(signer).Claims(jwt.Claims{
			Issuer: issuer.URL, Subject: "ada", Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
		}).Claims(map[string]any{"groups": []string{"eng"}}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}

	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw})))
	write("providers.json", fmt.Sprintf(`{"providers": [{"name": "partners", "caFile": %q, "oidc": {"issuer": %q, "audiences": ["shop"], "algorithms": ["ES256"]}}]}`, file("ca.pem"), issuer.URL))
	server := start("--log-level", "error", "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", file("data"), "--ready-file", file("ready.json"), "--admin-token-file", file("token"),
		"--authz-listen", "127.0.0.1:0", "--authz-http-listen", "127.0.0.1:0", "--authz-insecure-plain-callers", "--authz-edge-config", file("providers.json"))
	said := awaitReady(t, server, file("ready.json"))
	write("shop.yaml", threeServices+"---\nkind: Route\nname: shop\nowner: team-web\nhosts: [shop.example.com]\ngateways: [entry]\nbackends: [{service: orders, weight: 1}]\n")
	if code := run(t.Context(), []string{"apply", "--server", said["rest"], "--token-file", file("token"), "-f", file("shop.yaml")}, strings.NewReader(""), os.Stderr, os.Stderr); code != cli.ExitOK {
		t.Fatal("the route was not applied")
	}

	conn, err := grpc.NewClient(said["authz"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func(bearer string) *authv3.CheckResponse {
		answer, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source:            &authv3.AttributeContext_Peer{Principal: "spiffe://heddle.local/gateway/entry"},
			Request:           &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": "Bearer " + bearer}}},
			ContextExtensions: map[string]string{"callee": "orders", "provider": "partners"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	var answer *authv3.CheckResponse
	await(t, "the user's request to be let in", func() bool {
		answer = ask(token("shop"))
		return answer.GetOkResponse() != nil
	})
	at := authzAt{keys: said["keys"]}
	if got := at.verified(t, answer); got.Subject != "spiffe://heddle.local/gateway/entry" {
		t.Errorf("the token is %+v's", got)
	}
	signed, err := jwt.ParseSigned(answer.GetOkResponse().GetHeaders()[0].GetHeader().GetValue(), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var user struct {
		User authz.User `json:"usr"`
	}
	if err := signed.UnsafeClaimsWithoutVerification(&user); err != nil || user.User.Subject != "ada" || len(user.User.Groups) != 1 {
		t.Errorf("the token's user is %+v: %v", user, err)
	}
	if got := ask(token("another")).GetStatus().GetMessage(); got != string(authz.WrongAudience) {
		t.Errorf("a token for another application: %q", got)
	}
}

// A file that is wrong ends the service with every fault, each with its place.
func TestEdgeConfigIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "providers.json")
	if err := os.WriteFile(file, []byte(`{"providers": [{"name": "a", "oidc": {"issuer": "http://id.example", "audiences": [""], "algorithms": ["HS256"]}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start("server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"),
		"--authz-listen", "127.0.0.1:0", "--authz-insecure-plain-callers", "--authz-edge-config", file)
	await(t, "it to end", c.ended)
	for _, place := range []string{"providers[0].oidc.issuer", "providers[0].oidc.audiences[0]", "providers[0].oidc.algorithms[0]", file} {
		if !strings.Contains(c.stderr.String(), place) {
			t.Errorf("it does not name %s:\n%s", place, c.stderr.String())
		}
	}
}
