package demo

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// What the issuer of the demo stands in for: a team of Cloudflare Access, the tag
// of the application that stands before the shop, and one of another application.
const (
	team     = "acme"
	shopTag  = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"
	otherTag = "00000000000000000000000000000000000000000000000000000000000000ff"
)

const (
	// provider is the issuer's name in routes and in the file of --edge-config.
	provider = "staff"
	// userHeader is where Cloudflare puts the user's token, and user is who it names.
	userHeader = "Cf-Access-Jwt-Assertion"
	user       = "ada@acme.example"
)

// issuer stands in for Cloudflare Access: it has the endpoint from which the AuthZ
// services fetch the team's public keys, and gives users tokens as Cloudflare would
// when they have logged in.
type issuer struct {
	key    jose.JSONWebKey
	config string // file for --edge-config
	server *http.Server
	ended  chan error
}

// openIssuer starts the endpoint. Its files go to a folder.
func openIssuer(ctx context.Context, folder string) (*issuer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the issuer's key: %w", err)
	}
	i := &issuer{key: jose.JSONWebKey{Key: private, KeyID: "demo"}, config: filepath.Join(folder, "providers.json"), ended: make(chan error, 1)}
	files, err := makeCertificate(folder, "issuer")
	if err != nil {
		return nil, err
	}
	l, err := listen(0)
	if err != nil {
		return nil, fmt.Errorf("start the issuer: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cdn-cgi/access/certs", func(w http.ResponseWriter, _ *http.Request) {
		public := jose.JSONWebKey{Key: private.Public(), KeyID: i.key.KeyID, Algorithm: string(jose.RS256), Use: "sig"}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}) // fails only when the caller is gone
	})
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { i.ended <- i.server.ServeTLS(l, files.certificate, files.key) }() // ends with close
	providers := map[string]any{"providers": []any{map[string]any{
		"name": provider, "caFile": files.certificate,
		"cloudflareAccess": map[string]any{"team": team, "certsURL": fmt.Sprintf("https://%s/cdn-cgi/access/certs", l.Addr().(*net.TCPAddr))},
	}}}
	data, err := json.MarshalIndent(providers, "", "  ")
	if err == nil {
		err = os.WriteFile(i.config, data, 0o600)
	}
	if err != nil {
		i.close(ctx)
		return nil, fmt.Errorf("write the issuer's configuration: %w", err)
	}
	return i, nil
}

// login gives ada's token for the shop, changed, as Cloudflare would sign it.
func (i *issuer) login(changes map[string]any) (string, error) {
	return signed(i.key, changes)
}

// forged gives the same token signed by a key of somebody else, who says that it
// is the issuer's.
func (i *issuer) forged() (string, error) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	return signed(jose.JSONWebKey{Key: other, KeyID: i.key.KeyID}, nil)
}

func signed(key jose.JSONWebKey, changes map[string]any) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": "https://" + team + ".cloudflareaccess.com", "aud": []string{shopTag}, "type": "app",
		"sub": "7335d417-61da-459d-899c-0a01c76a2f94", "email": user,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func (i *issuer) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := i.server.Shutdown(ctx); err != nil {
		_ = i.server.Close()
	}
	<-i.ended //nolint:errcheck // http.ErrServerClosed; had it ended before, a check has said so
}
