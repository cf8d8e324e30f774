package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

func TestFlagsOfAProviderThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct{ args, want string }{
		"no issuer":              {"--oidc-client-id heddle", "need --oidc-issuer"},
		"readers of nobody":      {"--oidc-readers a", "need --oidc-issuer"},
		"open to all anyway":     {"--oidc-issuer https://id.example.com --oidc-client-id a --oidc-readers b", "needs --require-read-token"},
		"owners of nobody":       {"--oidc-owners a", "need --oidc-issuer"},
		"admins of nobody":       {"--oidc-admins a", "need --oidc-issuer"},
		"no client":              {"--oidc-issuer https://id.example.com", "needs --oidc-client-id"},
		"plain text":             {"--oidc-issuer http://id.example.com --oidc-client-id a", "no https:// address"},
		"no address":             {"--oidc-issuer id.example.com --oidc-client-id a", "no https:// address"},
		"back in plain text":     {"--oidc-issuer https://id.example.com --oidc-client-id a --oidc-redirect-url http://mesh.example.com/ui/oidc/callback", "no https:// address"},
		"back to somewhere else": {"--oidc-issuer https://id.example.com --oidc-client-id a --oidc-redirect-url https://mesh.example.com/", "does not end with /ui/oidc/callback"},
		"no file":                {"--listen 127.0.0.1:0 --xds-listen 127.0.0.1:0 --oidc-issuer https://id.example.com --oidc-client-id a --oidc-client-secret-file /nothing/there --data-dir " + t.TempDir(), "read the secret of --oidc-client-secret-file"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), append([]string{"server"}, strings.Fields(c.args)...), strings.NewReader(""), &stdout, &stderr); code == cli.ExitOK || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("%d %s", code, stderr.String())
			}
		})
	}
}

func TestTheSecretIsReadWithoutItsNewline(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := oidcFlags{Issuer: "http://127.0.0.1:9000", ClientID: "heddle", ClientSecretFile: file}
	if err := flags.check((&serverCmd{}).wrongFlag); err != nil {
		t.Fatal(err)
	}
	if got, err := flags.provider(false); err != nil || got.ClientSecret != "s3cret" {
		t.Errorf("%+v %v", got, err)
	}
}
