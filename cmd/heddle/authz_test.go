package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
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

const threeServices = `
kind: Service
name: web
owner: team-web
protocol: http
port: 80
dependencies: [orders]
---
kind: Service
name: orders
owner: team-shop
protocol: http
port: 80
dependencies: []
access: {enforcement: deny}
---
kind: Service
name: ledger
owner: team-money
protocol: http
port: 80
dependencies: []
access: {enforcement: warn}
`

// authzAt is a running AuthZ service.
type authzAt struct{ grpc, keys string }

// awaitReady reads a ready file once it is there.
func awaitReady(t *testing.T, c *command, file string) map[string]string {
	t.Helper()
	said := map[string]string{}
	await(t, "it to be ready", func() bool {
		if c.ended() {
			t.Fatalf("it ended:\n%s", c.stderr.String())
		}
		data, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(data, &said) == nil
	})
	t.Cleanup(func() {
		if code := c.interrupt(t); code != cli.ExitOK {
			t.Errorf("it ended with %d:\n%s", code, c.stderr.String())
		}
	})
	return said
}

// asks has a caller ask for a callee.
func (a authzAt) asks(t *testing.T, caller, callee string) *authv3.CheckResponse {
	t.Helper()
	conn, err := grpc.NewClient(a.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	answer, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:            &authv3.AttributeContext_Peer{Principal: "spiffe://heddle.local/" + caller},
		ContextExtensions: map[string]string{"callee": callee},
	}}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// verified gives what a token says once the published keys verify it.
func (a authzAt) verified(t *testing.T, answer *authv3.CheckResponse) jwt.Claims {
	t.Helper()
	response, err := http.Get(a.keys + authz.JWKSPath)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	headers := answer.GetOkResponse().GetHeaders()
	if len(headers) != 1 || headers[0].GetHeader().GetKey() != authz.TokenHeader {
		t.Fatalf("answered %v", answer)
	}
	token, err := jwt.ParseSigned(headers[0].GetHeader().GetValue(), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var said jwt.Claims
	if err := token.Claims(set, &said); err != nil {
		t.Fatal(err)
	}
	return said
}

// TestAuthzInsideAndApart runs the service inside a server and apart from it, and
// has both follow what is declared.
func TestAuthzInsideAndApart(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	serverCommand := start("--log-level", "error", "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", file("data"), "--ready-file", file("ready.json"), "--admin-token-file", file("token"),
		"--authz-listen", "127.0.0.1:0", "--authz-http-listen", "127.0.0.1:0", "--authz-insecure-plain-callers")
	said := awaitReady(t, serverCommand, file("ready.json"))
	inside := authzAt{grpc: said["authz"], keys: said["keys"]}

	if err := os.WriteFile(file("secret"), []byte(strings.Repeat("5e", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alone := func(name string) authzAt {
		c := start("--log-level", "error", "authz", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", file(name),
			"--etcd-endpoints", "unix://"+file("data/etcd.sock"), "--key-file", file("secret"), "--insecure-plain-callers")
		said := awaitReady(t, c, file(name))
		return authzAt{grpc: said["grpc"], keys: said["http"]}
	}
	one, two := alone("one.json"), alone("two.json")

	apply := func(manifests string) {
		t.Helper()
		if err := os.WriteFile(file("services.yaml"), []byte(manifests), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, wrong bytes.Buffer
		if code := run(t.Context(), []string{"apply", "--server", said["rest"], "--token-file", file("token"), "-f", file("services.yaml")}, strings.NewReader(""), &out, &wrong); code != cli.ExitOK {
			t.Fatalf("apply: %s", wrong.String())
		}
	}
	apply(threeServices)
	for name, a := range map[string]authzAt{"inside the server": inside, "apart": one, "another apart": two} {
		await(t, name+": the declarations", func() bool { return a.asks(t, "service/web", "orders").GetOkResponse() != nil })
		token := a.verified(t, a.asks(t, "service/web", "orders"))
		if token.Issuer != "https://heddle.local" || token.Subject != "spiffe://heddle.local/service/web" ||
			len(token.Audience) != 1 || token.Audience[0] != "spiffe://heddle.local/service/orders" ||
			token.Expiry.Time().Sub(token.IssuedAt.Time()) != 15*time.Minute || token.ID == "" {
			t.Errorf("%s: the token says %+v", name, token)
		}
		for question, reason := range map[[2]string]authz.Reason{
			{"service/orders", "web"}:   authz.Undeclared,
			{"service/nobody", "web"}:   authz.UnknownCaller,
			{"service/web", "nothing"}:  authz.UnknownCallee,
			{"gateway/edge", "orders"}:  authz.NotRouted,
			{"heddle/server", "orders"}: authz.NoIdentity,
		} {
			if got := a.asks(t, question[0], question[1]).GetStatus().GetMessage(); got != string(reason) {
				t.Errorf("%s: %v: %q, want %q", name, question, got, reason)
			}
		}
		if answer := a.asks(t, "service/web", "ledger"); answer.GetOkResponse().GetHeadersToRemove() == nil || len(answer.GetOkResponse().GetResponseHeadersToAdd()) != 1 {
			t.Errorf("%s: a callee that warns: %v", name, answer)
		}
	}
	// What one signed the other's keys verify: they share them through etcd.
	two.verified(t, one.asks(t, "service/web", "orders"))

	apply(strings.Replace(threeServices, "dependencies: [orders]", "dependencies: []", 1))
	for name, a := range map[string]authzAt{"inside the server": inside, "apart": one} {
		await(t, name+": web may no longer", func() bool { return a.asks(t, "service/web", "orders").GetDeniedResponse() != nil })
	}
	apply(threeServices + "---\nkind: Route\nname: shop\nowner: team-web\nhosts: [shop.example.com]\ngateways: [edge]\nbackends: [{service: orders, weight: 1}]\n")
	await(t, "a gateway may call what is behind a route", func() bool { return one.asks(t, "gateway/edge", "orders").GetOkResponse() != nil })
	if got := one.asks(t, "gateway/inner", "orders").GetStatus().GetMessage(); got != string(authz.NotRouted) {
		t.Errorf("a gateway that does not serve the route: %q", got)
	}
	apply(strings.Replace(threeServices, "{enforcement: deny}", "{callers: approved, approved: [gateway/edge]}", 1))
	await(t, "who declared it has to be approved", func() bool {
		return one.asks(t, "service/web", "orders").GetStatus().GetMessage() == string(authz.Unapproved)
	})
	if got := one.asks(t, "gateway/edge", "orders"); got.GetOkResponse() == nil {
		t.Errorf("a gateway that is approved: %v", got)
	}
}
