package main

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// identityFlags are how a server gives identities and asks for them.
type identityFlags struct {
	TLSListen       string        `env:"HEDDLE_TLS_LISTEN" placeholder:"HOST:PORT" help:"Where the REST API listens over TLS, and gives workloads their certificates. Default: nowhere, and there are no identities."`
	XDSTLSListen    string        `name:"xds-tls-listen" env:"HEDDLE_XDS_TLS_LISTEN" placeholder:"HOST:PORT" help:"Where xDS and the gRPC API listen over TLS; xDS is for clients with a certificate there, each as the service that it is of. Default: nowhere."`
	RequireIdentity bool          `help:"Serve xDS to nobody without a certificate: the port of --xds-listen is for the gRPC API alone."`
	MTLS            string        `name:"mtls" enum:"permissive,strict" default:"permissive" help:"Whether sidecars with an identity take calls in plain text besides mutual TLS (permissive), or refuse them (strict), for services that do not say (access.mtls). All servers of a cluster have to say the same."`
	Lifetime        time.Duration `name:"identity-lifetime" default:"1h" placeholder:"TIME" help:"How long a certificate lives; its holder replaces it at half of that."`
	CAKey           string        `name:"ca-key" type:"path" placeholder:"FILE" help:"PEM key of the authority that signs the certificates. Default: one made at the first start, in the data folder."`
	CACert          string        `name:"ca-cert" type:"path" placeholder:"FILE" help:"PEM certificate of that key, followed by those up to its root."`
	CABundle        string        `name:"ca-bundle" type:"path" placeholder:"FILE" help:"PEM root certificates to be trusted besides: of an authority that is to follow, or of the one before."`
}

// checkIdentity finds flags about identities that make no sense.
func (c *serverCmd) checkIdentity() error {
	_, domain := identity.ParseTrustDomain(c.TrustDomain)
	switch {
	case c.TLSListen == "" && c.XDSTLSListen != "":
		return c.wrongFlag("--xds-tls-listen needs --tls-listen, where its clients get their certificates")
	case c.TLSListen == "" && c.CAKey+c.CACert+c.CABundle != "":
		return c.wrongFlag("--ca-key, --ca-cert and --ca-bundle need --tls-listen: without it there are no identities")
	case c.TLSListen == "" && c.MTLS == string(mesh.Strict):
		return c.wrongFlag("--mtls strict needs --tls-listen: without it there are no identities")
	case c.RequireIdentity && c.XDSTLSListen == "":
		return c.wrongFlag("--require-identity needs --xds-tls-listen: nobody could be served")
	case (c.CAKey == "") != (c.CACert == ""):
		return c.wrongFlag("--ca-key and --ca-cert go together")
	case domain != nil:
		return c.wrongFlag("--trust-domain: %v", domain)
	case c.Lifetime < identity.ShortestLifetime || c.Lifetime > identity.LongestLifetime:
		return c.wrongFlag("--identity-lifetime %s is not from %s to %s", c.Lifetime, identity.ShortestLifetime, identity.LongestLifetime)
	}
	return nil
}

// authority loads the certificate authority, and makes it first if it is to be
// our own; nil without --tls-listen. The data folder has to be ours by now.
func (c *serverCmd) authority() (*identity.Authority, error) {
	if c.TLSListen == "" {
		return nil, nil //nolint:nilnil // no identities is no error
	}
	cfg := identity.Config{TrustDomain: c.TrustDomain, Lifetime: c.Lifetime, Hosts: c.certifiedHosts()}
	files := identity.Files{Key: c.CAKey, Cert: c.CACert}
	if c.CAKey == "" {
		files = identity.In(c.DataDir)
		if err := identity.Create(cfg, files); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindUnavailable, Message: "make the certificate authority in " + c.DataDir, Err: err}
		}
	}
	files.Bundle = c.CABundle
	authority, err := identity.Load(cfg, files)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "load the certificate authority", Err: err}
	}
	return authority, nil
}

// certifiedHosts are the names in the server's own certificate, beside its
// SPIFFE ID, for clients that know servers by name only.
func (c *serverCmd) certifiedHosts() []string {
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, c.Host...)
	for _, address := range []string{c.TLSListen, c.XDSTLSListen} {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// whileProven ends the streams of those whose certificates are revoked, and the
// connections of those whose certificates are not good any more.
func (n *serverNode) whileProven() grpc.ServerOption {
	return grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		of, err := n.authority.Proven(stream.Context())
		if err != nil {
			identity.End(stream.Context())
			return handle(server, stream) // whoever needs a proof says so
		}
		ctx, err := n.authority.Revocations().Until(stream.Context(), of)
		if err != nil {
			identity.End(stream.Context())
			return status.Error(codes.Unauthenticated, err.Error())
		}
		err = handle(server, provenStream{stream, ctx})
		if stream.Context().Err() != nil || ctx.Err() == nil {
			return err
		}
		identity.End(stream.Context())
		revoked := context.Cause(ctx)
		entry := mesh.AuditEntry{
			Outcome: mesh.AuditRefused, Action: "stream", Object: mesh.RevocationOfWorkload(of.Workload), Author: of.String(),
			Source: "xds", Reason: revoked.Error(),
		}
		entry.Log(ctx, n.logger)
		return status.Error(codes.Unauthenticated, revoked.Error())
	})
}

// provenStream is a stream with a context of its own.
type provenStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // that of the stream, as gRPC has it
}

// Context ends when what was proven is revoked.
func (s provenStream) Context() context.Context { return s.ctx }

// withoutStatus refuses the service by which one client sees what all are sent
// (CSDS): a workload's certificate is for its own.
func withoutStatus() []grpc.ServerOption {
	refused := func(method string) error {
		if strings.HasPrefix(method, "/envoy.service.status.") {
			return status.Error(codes.PermissionDenied, "the status of all clients is not shown where clients prove their identity: heddle status shows it")
		}
		return nil
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := refused(info.FullMethod); err != nil {
				return nil, err
			}
			return handle(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := refused(info.FullMethod); err != nil {
				return err
			}
			return handle(server, stream)
		}),
	}
}
