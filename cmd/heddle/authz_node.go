package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/authz/edge"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// authzSetup is what an AuthZ service is put together from.
type authzSetup struct {
	flags       *authzFlags
	trustDomain string
	keys        authz.KeyStore
	store       *registry.Store
	identity    bool // the service has an identity of the mesh
	catalog     *catalog.Catalog
	callers     func() (*tls.Config, error) // how their connections are met, asked for each; nil: in plain text
	standing    authz.Standing              // of their certificates; nil: they are not revoked here
	listener    net.Listener                // of ext_authz
	http        net.Listener                // of the key set; nil: none
	handler     http.Handler                // of other paths there; nil: none
	registerer  prometheus.Registerer
	logger      *slog.Logger
}

// authzNode is an AuthZ service put together.
type authzNode struct {
	authzSetup
	authorizer *mesh.Authorizer // how it is announced to sidecars; nil: it is not
	known      chan struct{}    // closed once the mesh is known
	keyring    *authz.Keyring
	issuer     *authz.Issuer
	redis      *authz.Redis    // nil: none
	providers  *edge.Providers // nil: none
	service    *authz.Service
	grpc       *grpc.Server
	health     *health.Server
	web        *http.Server
}

// newAuthzNode puts the parts together, and reads or makes the signing keys.
func newAuthzNode(ctx context.Context, s authzSetup) (_ *authzNode, err error) {
	n := &authzNode{authzSetup: s, known: make(chan struct{})}
	f := s.flags
	if f.InsecurePlainCallers {
		s.logger.Warn("--insecure-plain-callers: whoever reaches the AuthZ service is given tokens in any service's name; Heddle's sidecars are not told of it, nor of its keys")
	}
	issuer := f.Issuer
	if issuer == "" {
		issuer = "https://" + s.trustDomain
	}
	if n.authorizer, err = f.authorizer(s.listener, s.identity); err != nil {
		return nil, err
	}
	keyring := authz.KeyringConfig{
		Store: s.keys, Board: keyBoard{store: s.store}, Silent: true, Issuer: issuer, Type: authz.KeyType(f.KeyType), Logger: s.logger,
		Rotation: authz.Rotation{Every: f.RotateEvery, Ahead: f.PublishAhead, Keep: f.TokenLife + time.Minute},
	}
	if n.authorizer != nil {
		keyring.Board, keyring.Silent = keyBoard{s.store, n.authorizer.ID}, false
	}
	n.keyring = authz.NewKeyring(keyring)
	s.registerer.MustRegister(newKeyMetrics(n.keyring, s.catalog))
	options := append(authz.ServerOptions(),
		grpc.MaxHeaderListSize(64<<10),
		authz.Connections(authz.ConnectionLife),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	if s.callers != nil {
		options = append(options, grpc.Creds(authz.Credentials(s.callers, s.trustDomain, s.standing)))
	}
	if n.redis, err = f.redis(s.logger); err != nil {
		return nil, err
	}
	if n.providers, err = f.providers(s.registerer, s.logger); err != nil {
		return nil, err
	}
	// Keys that may not be used are told by Run, again and again: they may be later.
	if err := n.keyring.Load(ctx); err != nil && mesh.KindOf(err) != mesh.KindConflict {
		return nil, err
	}
	n.issuer, err = authz.NewIssuer(authz.IssuerConfig{
		Keys: n.keyring, Issuer: issuer, TokenLife: f.TokenLife, CacheLife: f.CacheLife, RefreshAhead: f.RefreshAhead,
		Entries: f.MemoryEntries, Remote: n.redis, Registerer: s.registerer, Logger: s.logger,
	})
	if err != nil {
		return nil, cli.WrongFlags(err)
	}
	service := authz.ServiceConfig{
		Issuer: n.issuer, Edges: &meshEdges{catalog: s.catalog}, TrustDomain: s.trustDomain,
		InsecurePlainCallers: f.InsecurePlainCallers, Registerer: s.registerer, Logger: s.logger,
	}
	if n.providers != nil {
		service.Visitors = n.providers
	}
	n.service, err = authz.NewService(service)
	if err != nil {
		return nil, err
	}
	n.grpc = grpc.NewServer(options...)
	n.service.Register(n.grpc)
	n.health = health.NewServer()
	n.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING) // until the mesh is known
	healthpb.RegisterHealthServer(n.grpc, n.health)
	reflection.Register(n.grpc)
	mux := http.NewServeMux()
	documents := authz.Handler(n.keyring, issuer)
	mux.Handle(authz.JWKSPath, documents)
	mux.Handle(authz.DiscoveryPath, documents)
	if s.handler != nil {
		mux.Handle("/", s.handler)
	}
	n.web = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	return n, nil
}

// serving says that the mesh is known.
func (n *authzNode) serving() {
	n.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	close(n.known)
}

// run serves until ctx ends or a part cannot go on; then the others end too.
func (n *authzNode) run(ctx context.Context) error {
	defer n.service.Close()
	group, ctx := errgroup.WithContext(ctx)
	answering, answered := context.WithCancel(context.WithoutCancel(ctx)) // tokens are made until the last request has its answer
	group.Go(func() error { return n.keyring.Run(ctx) })
	group.Go(func() error { return n.issuer.Run(answering) })
	if n.redis != nil {
		group.Go(func() error { return n.redis.Run(answering) })
	}
	if n.providers != nil {
		group.Go(func() error { return n.providers.Run(answering) })
	}
	group.Go(func() error {
		if err := n.grpc.Serve(n.listener); err != nil {
			return fmt.Errorf("serve ext_authz: %w", err)
		}
		return nil
	})
	if n.http != nil {
		group.Go(func() error {
			if err := n.web.Serve(n.http); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve the key set: %w", err)
			}
			return nil
		})
	}
	departed := make(chan struct{})
	group.Go(func() error {
		defer close(departed)
		return n.announce(ctx)
	})
	group.Go(func() error { // whatever ended ctx: the servers end only by this
		defer answered()
		<-ctx.Done()
		<-departed
		n.shutdown(ctx)
		return nil
	})
	return group.Wait()
}

// shutdown lets requests under way end.
func (n *authzNode) shutdown(ended context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), shutdownTime)
	defer cancel()
	n.health.Shutdown()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		n.grpc.GracefulStop()
	}()
	if err := n.web.Shutdown(ctx); err != nil {
		_ = n.web.Close()
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		n.grpc.Stop()
		<-stopped
	}
}

// standing checks certificates of the mesh by what is revoked.
func standing(revoked *identity.Revocations, trustDomain string) authz.Standing {
	domain, err := identity.ParseTrustDomain(trustDomain)
	return func(certificate *x509.Certificate) func() error {
		if err != nil {
			return func() error { return err }
		}
		return revoked.Standing(certificate, domain)
	}
}
