package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
	"github.com/heddle-mesh/heddle/internal/server/grpcapi"
	"github.com/heddle-mesh/heddle/internal/tracing"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// serverNode is a server put together: etcd's watch feeds the catalog, the
// control plane translates it, and the xDS server sends it.
type serverNode struct {
	logger  *slog.Logger
	prom    *prometheus.Registry
	store   *registry.Store
	catalog *catalog.Catalog
	plane   *controlplane.ControlPlane
	xds     *xds.Server
	metrics meshMetrics
	tracer  *tracing.Tracer // nil: changes are not followed

	serverPorts
	authority *identity.Authority // nil: there are no identities
	trust     translate.Trust
	rest      *http.Server
	restAPI   *server.Server
	grpc      *grpc.Server
	grpcTLS   *grpc.Server // nil: not over TLS
	grpcAPI   *grpcapi.API
	health    *health.Server
	calls     *callReports // nil: proxies report nothing
	turns     *insight.Turns
	machines  *placement.Cache
	placing   *placingNode
	discovery *discoveryNode // nil: this server asks no sources of machines
	authz     *authzNode     // nil: it runs apart, or not at all
}

// shutdownTime bounds how long requests under way may take to end.
const shutdownTime = 5 * time.Second

// newServerNode puts the parts together, and starts nothing. Serving the ports
// closes them.
func newServerNode(c *serverCmd, ports serverPorts, store *registry.Store, authority *identity.Authority, tracer *tracing.Tracer, logger *slog.Logger) (*serverNode, error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n := &serverNode{logger: logger, prom: metrics, store: store, authority: authority, serverPorts: ports, catalog: catalog.New(catalog.Config{Logger: logger}), turns: insight.NewTurns(), machines: &placement.Cache{}}
	n.placing = newPlacingNode(n)
	n.metrics = newMeshMetrics(metrics, n.catalog, store)
	plane := controlplane.Config{Catalog: n.catalog, RequireIdentity: c.RequireIdentity, Registerer: metrics, Translated: translated(tracer), Logger: logger}
	if authority != nil {
		plane.Identities = authority
		plane.Trust = translate.Trust{Domain: authority.TrustDomain().Name(), Roots: []byte(authority.Bundle()), MTLS: mesh.MTLS(c.MTLS)}
	}
	plane.Trust.Telemetry = c.telemetry()
	plane.Trust.Reports = c.CallReports == "on"
	n.trust = plane.Trust
	n.plane = controlplane.New(plane)
	n.xds = xds.NewServer(xds.Config{Scopes: n.plane, Registerer: metrics, Answered: answered(tracer), Logger: logger, CanaryWait: c.CanaryWait, MaxStreams: c.MaxStreams})

	var observed func(context.Context) (insight.Observed, error)
	if plane.Trust.Reports {
		n.calls = newCallReports(n)
		observed = n.observed
	}
	pages, err := n.pages(c, observed)
	if err != nil {
		return nil, err
	}
	n.restAPI, err = server.New(server.Config{
		Registry: store, Catalog: n.catalog, Proxies: n.proxies, ProxyConfig: n.proxyConfig, Problems: n.problems, Mesh: n.mesh, Machines: n.machines, Turns: n.turns, Observed: observed,
		Hosts: c.hosts(), Identities: authority, RequireReadToken: c.RequireReadToken, UI: pages, Registerer: metrics,
		Metrics: promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}), Version: cli.VersionLine(), Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	n.rest = n.restAPI.HTTPServer()
	if tracer != nil {
		n.follow(tracer)
	}

	n.grpcAPI = grpcapi.New(readers(c, authority, grpcapi.Config{Registry: store, Catalog: n.catalog, Registerer: metrics, Logger: logger}))
	n.health = health.NewServer()
	n.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING) // until synced
	var plain []grpc.ServerOption
	if c.RequireIdentity {
		plain = withoutStatus()
	}
	n.grpc = n.newGRPC(plain...)
	if n.xdsTLSListener != nil {
		n.grpcTLS = n.newGRPC(append(withoutStatus(), n.whileProven(), grpc.Creds(authority.Credentials()))...)
	}
	return n, nil
}

// readers says whom the gRPC API lets read.
func readers(c *serverCmd, authority *identity.Authority, cfg grpcapi.Config) grpcapi.Config {
	cfg.RequireReadToken = c.RequireReadToken
	if authority != nil {
		cfg.Identities = authority
	}
	return cfg
}

// newGRPC makes a server of xDS and the gRPC API. Sidecars hold their streams open
// for months: pings find the dead ones, and clients may ping as often as Envoy does.
func (n *serverNode) newGRPC(more ...grpc.ServerOption) *grpc.Server {
	options := append(append(xds.ServerOptions(), n.grpcAPI.ServerOptions()...),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.MaxHeaderListSize(64<<10), grpc.MaxConcurrentStreams(1000), // of one connection; an Envoy opens a handful
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	s := grpc.NewServer(append(append(options, n.grpcTracing()...), more...)...)
	n.xds.Register(s)
	n.grpcAPI.Register(s)
	if n.calls != nil {
		n.calls.service.Register(s)
	}
	healthpb.RegisterHealthServer(s, n.health)
	reflection.Register(s)
	return s
}

func (n *serverNode) restURL() string { return "http://" + n.restListener.Addr().String() }

// run serves until ctx ends or a part cannot go on; then the others end too.
func (n *serverNode) run(ctx context.Context, etcdFailed <-chan error, ready func() error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		n.store.Watch(ctx, registry.WatchConfig{Diverged: n.metrics.diverged, Down: n.metrics.down}, func(b registry.Batch) {
			if n.authority != nil {
				n.authority.Revocations().Apply(b.Synced, b.Changes)
			}
			n.received(b)
		})
		return nil
	})
	group.Go(func() error { return n.plane.Run(ctx, n.xds) })
	group.Go(func() error { return n.announceReady(ctx, ready) })
	if n.calls != nil {
		group.Go(func() error {
			n.calls.keeper.Run(ctx, shutdownTime)
			return nil
		})
	}
	serveREST := func(listener net.Listener) {
		group.Go(func() error {
			if err := n.rest.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve the REST API: %w", err)
			}
			return nil
		})
	}
	serveGRPC := func(s *grpc.Server, listener net.Listener) {
		group.Go(func() error {
			if err := s.Serve(listener); err != nil {
				return fmt.Errorf("serve xDS and the gRPC API: %w", err)
			}
			return nil
		})
	}
	serveREST(n.restListener)
	serveGRPC(n.grpc, n.xdsListener)
	if n.restTLSListener != nil {
		serveREST(tls.NewListener(n.restTLSListener, n.authority.ServerTLS("http/1.1")))
	}
	if n.grpcTLS != nil {
		serveGRPC(n.grpcTLS, n.xdsTLSListener)
	}
	group.Go(func() error {
		select {
		case err := <-etcdFailed:
			return mesh.Unavailable(err, "the embedded etcd stopped")
		case <-ctx.Done():
			return nil
		}
	})
	if n.authz != nil {
		group.Go(func() error { return n.authz.run(ctx) })
	}
	group.Go(func() error { n.placing.run(ctx); return nil })
	if n.discovery != nil {
		group.Go(func() error { n.discovery.run(ctx); return nil })
	}
	if n.tracer != nil {
		group.Go(func() error { n.tracer.Run(ctx); return nil })
	}
	group.Go(func() error { // whatever ended ctx: the servers end only by this
		<-ctx.Done()
		n.shutdown(ctx)
		return nil
	})
	return group.Wait()
}

// announceReady waits until the whole mesh has been read from etcd.
func (n *serverNode) announceReady(ctx context.Context, ready func() error) error {
	return whenSynced(ctx, n.catalog, func() error {
		n.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
		if n.authz != nil {
			n.authz.serving()
		}
		return ready()
	})
}

// shutdown lets requests under way end, and sends the proxies to another server.
func (n *serverNode) shutdown(ended context.Context) {
	n.logger.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), shutdownTime)
	defer cancel()
	n.health.Shutdown()
	n.grpcAPI.Stop()
	if n.calls != nil {
		n.calls.service.Stop()
	}
	_ = n.xds.Shutdown(ctx) // what does not end in time is cut off by Stop
	servers := []*grpc.Server{n.grpc}
	if n.grpcTLS != nil {
		servers = append(servers, n.grpcTLS)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var stopping sync.WaitGroup
		for _, s := range servers {
			stopping.Go(s.GracefulStop)
		}
		stopping.Wait()
	}()
	if err := n.rest.Shutdown(ctx); err != nil {
		_ = n.rest.Close()
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		for _, s := range servers {
			s.Stop()
		}
		<-stopped
	}
}
