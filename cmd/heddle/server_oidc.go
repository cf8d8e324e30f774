package main

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	websession "github.com/heddle-mesh/heddle/internal/server/session"
)

// oidcFlags say where people sign in to the web pages beside access tokens.
type oidcFlags struct {
	Issuer           string   `placeholder:"URL" help:"Let people sign in to the web pages at this OpenID Connect provider, beside access tokens. See docs/ui.md."`
	ClientID         string   `placeholder:"ID" help:"What the provider knows this server as."`
	ClientSecretFile string   `type:"path" placeholder:"FILE" help:"Holds the secret that goes with it; left out for a client without one."`
	OwnersClaim      string   `default:"groups" placeholder:"NAME" help:"The claim of ID tokens whose values are owners: who has one to whom something belongs may write that."`
	Owners           []string `placeholder:"GROUP" help:"A value of that claim that is an owner although nothing belongs to it yet: its holders may declare their first service. May be repeated."`
	Admins           []string `placeholder:"GROUP" help:"A value of that claim whose holders may write everything. May be repeated."`
	Readers          []string `placeholder:"GROUP" help:"With --require-read-token, a value of that claim whose holders may read although they own nothing. May be repeated."`
	Scope            []string `placeholder:"NAME" help:"Asked for beside openid, email and profile, such as groups. May be repeated."`
	RedirectURL      string   `placeholder:"URL" help:"Where the provider sends browsers back to, https://NAME/ui/oidc/callback, if that is not how they call this server."`
}

// oidcTimeout bounds each question to the provider.
const oidcTimeout = 10 * time.Second

// check finds flags that make no sense; wrong makes the error.
func (f *oidcFlags) check(wrong func(string, ...any) error) error {
	if f.Issuer == "" {
		if f.ClientID+f.ClientSecretFile+f.RedirectURL != "" || len(f.Owners)+len(f.Admins)+len(f.Readers)+len(f.Scope) > 0 {
			return wrong("the --oidc-… flags say how people sign in at a provider: they need --oidc-issuer")
		}
		return nil
	}
	if f.ClientID == "" {
		return wrong("--oidc-issuer needs --oidc-client-id: what the provider knows this server as")
	}
	for flag, value := range map[string]string{"--oidc-issuer": f.Issuer, "--oidc-redirect-url": f.RedirectURL} {
		if value == "" {
			continue
		}
		at, err := url.Parse(value)
		if err != nil || at.Host == "" || at.Scheme != "https" && (at.Scheme != "http" || !cli.OnLoopback(at.Host) && at.Hostname() != "localhost") {
			return wrong("%s %q is no https:// address (http:// is taken on a loopback address only)", flag, value)
		}
	}
	if f.RedirectURL != "" && !strings.HasSuffix(f.RedirectURL, websession.CallbackPath) {
		return wrong("--oidc-redirect-url %q does not end with %s", f.RedirectURL, websession.CallbackPath)
	}
	return nil
}

// provider is what the flags say, with the secret; nil: nothing. onlyKnown signs
// nobody in who owns nothing and is neither an admin nor a reader.
func (f *oidcFlags) provider(onlyKnown bool) (*websession.OIDC, error) {
	if f.Issuer == "" {
		return nil, nil //nolint:nilnil // no provider is what was asked for
	}
	out := &websession.OIDC{
		Issuer: f.Issuer, ClientID: f.ClientID, OwnersClaim: f.OwnersClaim, Owners: f.Owners, Admins: f.Admins, OnlyKnown: onlyKnown, Readers: f.Readers, Scopes: f.Scope, RedirectURL: f.RedirectURL,
		Client: &http.Client{Timeout: oidcTimeout},
	}
	if f.ClientSecretFile != "" {
		secret, err := os.ReadFile(f.ClientSecretFile)
		if err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the secret of --oidc-client-secret-file", Err: err}
		}
		out.ClientSecret = strings.TrimSpace(string(secret))
	}
	return out, nil
}
