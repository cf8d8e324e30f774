package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// identityCmd keeps the identity of a workload whose Envoy or gRPC library
// something else runs.
type identityCmd struct {
	Service string `required:"" env:"HEDDLE_SERVICE" complete:"services" placeholder:"NAME" help:"The service whose workload this is." empty:"fine"`
	joinFlags
	deliveryFlags
	Once bool `help:"End once there is a certificate, instead of renewing it."`
}

// joinFlags are where an identity is, and how it gets the first one.
type joinFlags struct {
	IdentityDir   string `type:"path" env:"HEDDLE_IDENTITY_DIR" placeholder:"DIR" help:"Folder of its own where its key and its certificate are kept."`
	JoinTokenFile string `type:"path" env:"HEDDLE_JOIN_TOKEN_FILE" placeholder:"FILE" help:"File that holds a join token (heddle token create --join), for the first certificate."`
}

// Help shows examples below the flags.
func (*identityCmd) Help() string {
	return `For an Envoy or a gRPC library that something else than heddle proxy runs: gets a certificate with a join token, renews it at half its life until it is stopped, and writes it where heddle bootstrap --identity-dir tells them to look. The key never leaves the folder.

Examples:
  heddle identity --service web --identity-dir /var/lib/heddle/web --join-token-file web.join --server https://10.0.0.1:7443`
}

// Run keeps the identity until a signal ends it.
func (c *identityCmd) Run(ctx context.Context, line *cli.Globals, con *cli.Console, log *slog.Logger) error {
	if c.pushes() && c.Once {
		return &cli.UsageError{Message: "--once and --token-delivery push cannot be used together: tokens are handed over as long as this runs"}
	}
	own, err := c.openBy(ctx, line, mesh.Identity{Kind: mesh.ServiceIdentity, Name: mesh.ServiceName(c.Service)}, nil, log)
	if err != nil && ctx.Err() != nil {
		return nil //nolint:nilerr // it was asked to end before it had an identity
	}
	if err != nil {
		return err
	}
	if own == nil {
		return &cli.UsageError{Message: "--identity-dir is missing: name a folder for the identity"}
	}
	fmt.Fprintf(con.Out, "%s\n", own.Files().Cert)
	if c.pushes() {
		token, err := line.ReadToken()
		if err != nil {
			return err
		}
		stop, err := deliverTokens(ctx, own, line.Server, token, log)
		if err != nil {
			return err
		}
		defer stop()
	}
	if !c.Once {
		own.Run(ctx)
	}
	return nil
}

// openBy finds the identity or joins, with the tokens of somebody who gives them (nil:
// nobody); nil when none was asked for.
func (f *joinFlags) openBy(ctx context.Context, line *cli.Globals, of mesh.Identity, by *workload.Attestor, log *slog.Logger) (*workload.Identity, error) {
	if f.IdentityDir == "" && by != nil {
		return nil, &cli.UsageError{Message: "--attest-url needs --identity-dir, a folder for the identity that it gets"}
	}
	if by != nil && f.JoinTokenFile != "" {
		return nil, &cli.UsageError{Message: "--attest-url and --join-token-file cannot be used together"}
	}
	if f.IdentityDir == "" {
		if f.JoinTokenFile != "" {
			return nil, &cli.UsageError{Message: "--join-token-file needs --identity-dir, a folder for the identity that it gets"}
		}
		return nil, nil //nolint:nilnil // no identity is no error
	}
	return workload.Open(ctx, workload.Config{
		Dir: f.IdentityDir, Identity: of, JoinTokenFile: f.JoinTokenFile, Attestor: by, Issue: issueBy(line.Server), Logger: log,
	})
}

// issueBy asks the server at an address, over a connection of its own each time.
func issueBy(server string) workload.Issue {
	return func(ctx context.Context, meeting *tls.Config, csr, joinToken string) (identity.Issued, error) {
		api, err := overTLS(server, joinToken, &http.Transport{
			TLSClientConfig: meeting, Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second,
		})
		if err != nil {
			return identity.Issued{}, err
		}
		defer api.Close()
		certificate, err := api.IssueIdentity(ctx, csr)
		return identity.Issued(certificate), err
	}
}

// overTLS makes the client of a server that transport knows how to meet.
func overTLS(server, token string, transport http.RoundTripper) (*client.Client, error) {
	if !strings.HasPrefix(server, "https://") {
		return nil, &cli.UsageError{Message: fmt.Sprintf("--server %s: identities are given over TLS only: name the server's --tls-listen address, with https://", server)}
	}
	api, err := client.New(client.Config{Address: server, Token: token, UserAgent: "heddle-cli", HTTPClient: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, &cli.UsageError{Message: err.Error()}
	}
	return api, nil
}

// envoyIdentity says where a sidecar finds its identity.
func envoyIdentity(own *workload.Identity) (*proxy.Identity, error) {
	server, err := own.ServerID()
	if err != nil {
		return nil, err
	}
	files := own.Files()
	return &proxy.Identity{
		ServerID: server, Dir: files.Dir,
		Cert: files.Cert, Key: files.Key, Bundle: files.Bundle,
	}, nil
}
