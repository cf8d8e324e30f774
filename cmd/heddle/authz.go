package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// authzCmd runs the AuthZ service apart from the server.
type authzCmd struct {
	Listen      string `default:"127.0.0.1:18001" placeholder:"HOST:PORT" help:"Where sidecars ask (ext_authz over gRPC); port 0 takes a free one."`
	HTTPListen  string `name:"http-listen" default:"127.0.0.1:18002" placeholder:"HOST:PORT" help:"Where the public keys, /metrics, /livez and /readyz are served; port 0 takes a free one."`
	TrustDomain string `default:"heddle.local" placeholder:"NAME" help:"Trust domain of the SPIFFE IDs."`
	ReadyFile   string `type:"path" placeholder:"FILE" help:"Written once the service is ready, with its addresses as JSON."`

	joinFlags   `embed:""`
	attestFlags `embed:""`
	authzFlags  `embed:""`
	etcdFlags   `embed:""`
}

// Help shows examples below the flags.
func (*authzCmd) Help() string {
	return `Sidecars ask it before each request; a caller that has declared the dependency is given a signed token for it. What is declared is read from the server's etcd.

Examples:

  heddle authz --etcd-endpoints https://10.0.0.1:2379 --etcd-ca-file ca.pem --key-file secret \
    --identity-dir /var/lib/heddle/authz --join-token-file authz.join --server https://10.0.0.1:7443
  heddle authz --etcd-endpoints https://10.0.0.1:2379 --etcd-ca-file ca.pem --key-file secret --cert-file cert.pem --cert-key-file key.pem --client-ca-file bundle.pem
  heddle authz --etcd-endpoints http://127.0.0.1:2379 --key-dir keys --insecure-plain-callers --redis 127.0.0.1:6379`
}

// Run serves until the context ends.
func (c *authzCmd) Run(ctx context.Context, line *cli.Globals, logger *slog.Logger) (err error) {
	defer cli.AskedToEnd(ctx, &err)
	if len(c.EtcdEndpoints) == 0 {
		return c.wrong("--etcd-endpoints is missing: what is declared is read from there; inside heddle server, with its embedded etcd, the service runs by --authz-listen")
	}
	if err := c.check(c.IdentityDir != "" || c.JoinTokenFile != "" || c.AttestURL != ""); err != nil {
		return err
	}
	ready := cli.ReadyFile{Path: c.ReadyFile, Log: logger}
	var listener, web net.Listener
	release, err := ready.Claim(ctx, cli.Port{Listener: &listener, Flag: "--listen", Address: c.Listen}, cli.Port{Listener: &web, Flag: "--http-listen", Address: c.HTTPListen})
	if err != nil {
		return err
	}
	defer release()
	store, err := c.open(ctx, registry.Tracing{}, logger)
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := c.keyStore(store, "")
	if err != nil {
		return err
	}
	by, err := c.attestor(mesh.Identity{Kind: mesh.AuthzIdentity}, "")
	if err != nil {
		return err
	}
	own, err := c.openBy(ctx, line, mesh.Identity{Kind: mesh.AuthzIdentity}, by, logger)
	if err != nil && ctx.Err() != nil {
		return nil //nolint:nilerr // it was asked to end before it had an identity
	}
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	known := catalog.New(catalog.Config{Logger: logger})
	followed := newMeshMetrics(metrics, known, store)
	callers, err := c.callers(own, logger)
	if err != nil {
		return err
	}
	var node *authzNode // there before anything is served
	revoked := &identity.Revocations{}
	node, err = newAuthzNode(ctx, authzSetup{
		flags: &c.authzFlags, callers: callers, standing: standing(revoked, c.TrustDomain), identity: own != nil, trustDomain: c.TrustDomain, keys: keys, store: store, catalog: known,
		listener: listener, http: web, handler: c.observation(metrics, known, func() bool { return node.keyring.Ready() }), registerer: metrics, logger: logger,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		store.Watch(ctx, registry.WatchConfig{Diverged: followed.diverged, Down: followed.down}, func(b registry.Batch) {
			revoked.Apply(b.Synced, b.Changes)
			followed.received(b)
			known.Apply(b.Revision, b.Synced, b.Changes)
		})
		return nil
	})
	group.Go(func() error { return node.run(ctx) })
	if own != nil {
		group.Go(func() error { own.Run(ctx); return nil })
	}
	group.Go(func() error {
		return whenSynced(ctx, known, func() error {
			node.serving()
			logger.Info("ready", "grpc", listener.Addr().String(), "http", "http://"+web.Addr().String())
			return ready.Write(map[string]string{"grpc": listener.Addr().String(), "http": "http://" + web.Addr().String()})
		})
	})
	return group.Wait()
}

// callers says how callers' connections are met: by the service's own identity,
// by the files that the flags name, or nil, in plain text.
func (c *authzCmd) callers(own *workload.Identity, logger *slog.Logger) (func() (*tls.Config, error), error) {
	if own == nil {
		return c.callerTLS(logger)
	}
	if is := own.TrustDomain(); is != c.TrustDomain {
		return nil, c.wrong(fmt.Sprintf("--trust-domain %s: the identity in %s is of the trust domain %s", c.TrustDomain, c.IdentityDir, is))
	}
	return func() (*tls.Config, error) { return own.ServerTLS(), nil }, nil
}

// observation serves what operators look at.
func (*authzCmd) observation(metrics *prometheus.Registry, known *catalog.Catalog, ableToSign func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case !known.View().Synced():
			http.Error(w, "the mesh has not been read from etcd yet", http.StatusServiceUnavailable)
		case !ableToSign():
			http.Error(w, "there is no key that may sign: the log says why", http.StatusServiceUnavailable)
		}
	})
	return mux
}

// whenSynced waits until the whole mesh has been read from etcd.
func whenSynced(ctx context.Context, known *catalog.Catalog, ready func() error) error {
	feed := known.Subscribe()
	defer feed.Close()
	for {
		view, _, err := feed.Wait(ctx)
		if err != nil {
			return nil //nolint:nilerr // it stops before it was ready
		}
		if view.Synced() {
			return ready()
		}
	}
}
