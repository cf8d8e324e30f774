package azure_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
)

// failure is why no scope of a source could be listed.
func failure(t *testing.T, s *azure.Source) string {
	t.Helper()
	listing := list(t, s)
	text := ""
	for _, scope := range listing.Scopes {
		if scope.Err == nil {
			t.Fatalf("%s is listed", scope.Name)
		}
		text = scope.Err.Error()
	}
	return text
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // one is a program
		t.Fatal(err)
	}
}

// TestTheCLIIsCalledOnceForAToken, for all subscriptions and listings, and again only when
// that token is not taken any more.
func TestTheCLIIsCalledOnceForAToken(t *testing.T) {
	for _, by := range listings {
		t.Run(string(by), func(t *testing.T) {
			a, dir := twoOf(t), t.TempDir()
			count := filepath.Join(dir, "count")
			put(t, filepath.Join(dir, "az"), `#!/bin/sh
echo "$@" >> `+count+`
echo '{"accessToken":"token-'$(($(wc -l < `+count+`) * 10))'","expires_on":'$(($(date +%s) + 3600))'}'
`)
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			s := source(t, a, func(cfg *azure.Config) { twoSubscriptions(by)(cfg); cfg.Auth = azure.ByCLI })
			for range 3 {
				whole(t, s)
			}
			asked := func() []string {
				text, err := os.ReadFile(count)
				if err != nil {
					t.Fatal(err)
				}
				return strings.Split(strings.TrimSpace(string(text)), "\n")
			}
			if got := asked(); len(got) != 1 || !strings.Contains(got[0], "get-access-token") || !strings.Contains(got[0], "--resource https://management.azure.com") {
				t.Errorf("the CLI was called %d times: %q", len(got), got)
			}
			a.ExpireTokens(11)
			for range 2 {
				whole(t, s)
			}
			if got := asked(); len(got) != 2 {
				t.Errorf("the CLI was called %d times: %q", len(got), got)
			}
			put(t, filepath.Join(dir, "az"), "#!/bin/sh\necho again >> "+count+"\necho ERROR: Please run \"'az login'\" >&2\nexit 1\n")
			a.ExpireTokens(21)
			if got := failure(t, s); !strings.Contains(got, "az login") {
				t.Errorf("it says %q", got)
			}
			if failure(t, s); len(asked()) != 4 {
				t.Errorf("the CLI was called %d times, want once in each listing that cannot log in", len(asked()))
			}
		})
	}
}

// TestASecretIsReadWhenItIsWanted: a server whose file is not there yet, or is wrong, runs,
// says so, and lists when the file is right. One that is replaced is taken for the next token.
func TestASecretIsReadWhenItIsWanted(t *testing.T) {
	a := twoOf(t)
	good, issued := "the first", 0
	login := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		host := "https://" + r.Host + "/tenant"
		switch {
		case strings.HasSuffix(r.URL.Path, "openid-configuration"):
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": host, "token_endpoint": host + "/oauth2/v2.0/token", "authorization_endpoint": host + "/oauth2/v2.0/authorize"})
		case r.FormValue("client_secret") == good:
			issued++
			_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "access_token": fmt.Sprintf("token-%d", issued*10), "expires_in": 3600})
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}`))
		}
	}))
	defer login.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	s := source(t, a, func(cfg *azure.Config) {
		twoSubscriptions(azure.ByARM)(cfg)
		cfg.Auth, cfg.ClientID, cfg.TenantID, cfg.ClientSecretFile, cfg.AuthorityHost = azure.ByServicePrincipal, "app", "tenant", secret, login.URL
	})
	azure.Through(s, login.Client())
	if got := failure(t, s); !strings.Contains(got, "log in: read clientSecretFile: open "+secret) {
		t.Errorf("without the file it says %q", got)
	}
	put(t, secret, "another\n")
	if got := failure(t, s); !strings.Contains(got, "AADSTS7000215") || strings.Contains(got, "another") {
		t.Errorf("with a wrong secret it says %q", got)
	}
	if calls := a.Calls(); len(calls) > 0 {
		t.Errorf("without a token it asked %v", calls)
	}
	put(t, secret, "the first\n")
	whole(t, s)
	good = "the second"
	whole(t, s) // by the token that there is
	put(t, secret, good)
	a.ExpireTokens(11)
	if got := whole(t, s); len(got) != 27 || issued != 2 {
		t.Errorf("%d machines are listed with %d tokens", len(got), issued)
	}
}

func TestACertificateThatIsNoneIsTold(t *testing.T) {
	s := source(t, azuretest.New(t), func(cfg *azure.Config) {
		cfg.Auth, cfg.ClientID, cfg.TenantID, cfg.ClientCertificateFile = azure.ByServicePrincipal, "app", "tenant", "doc.go"
	})
	if got := failure(t, s); !strings.Contains(got, "doc.go is not a certificate with its key") {
		t.Errorf("it says %q", got)
	}
}
