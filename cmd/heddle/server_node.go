package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
	"github.com/heddle-mesh/heddle/internal/server/grpcapi"
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
	metrics serverMetrics

	serverPorts
	rest    *http.Server
	restAPI *server.Server
	grpc    *grpc.Server
	grpcAPI *grpcapi.API
	health  *health.Server
	authz   *authzNode // nil: it runs apart, or not at all
}

// shutdownTime bounds how long requests under way may take to end.
const shutdownTime = 5 * time.Second

// newServerNode puts the parts together, and starts nothing. Serving the ports
// closes them.
func newServerNode(c *serverCmd, ports serverPorts, store *registry.Store, logger *slog.Logger) (*serverNode, error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n := &serverNode{logger: logger, prom: metrics, store: store, serverPorts: ports, metrics: newServerMetrics(metrics)}
	n.catalog = catalog.New(catalog.Config{Logger: logger})
	n.plane = controlplane.New(controlplane.Config{Catalog: n.catalog, Registerer: metrics, Logger: logger})
	n.xds = xds.NewServer(xds.Config{Scopes: n.plane, Registerer: metrics, Logger: logger, CanaryWait: c.CanaryWait, MaxStreams: c.MaxStreams})

	var err error
	n.restAPI, err = server.New(server.Config{
		Registry: store, Catalog: n.catalog, Proxies: n.proxies, Problems: n.problems,
		Hosts: c.hosts(), Registerer: metrics,
		Metrics: promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}), Version: versionLine(), Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	n.rest = n.restAPI.HTTPServer()

	// Sidecars hold their streams open for months: pings find the dead ones,
	// and clients may ping as often as Envoy does.
	n.grpcAPI = grpcapi.New(grpcapi.Config{Registry: store, Catalog: n.catalog, Registerer: metrics, Logger: logger})
	n.grpc = grpc.NewServer(append(append(xds.ServerOptions(), n.grpcAPI.ServerOptions()...), //nolint:contextcheck // each call has a context of its own
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.MaxHeaderListSize(64<<10), grpc.MaxConcurrentStreams(1000), // of one connection; an Envoy opens a handful
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)...)
	n.xds.Register(n.grpc)
	n.grpcAPI.Register(n.grpc)
	n.health = health.NewServer()
	n.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING) // until synced
	healthpb.RegisterHealthServer(n.grpc, n.health)
	reflection.Register(n.grpc)
	return n, nil
}

func (n *serverNode) restURL() string { return "http://" + n.restListener.Addr().String() }

// run serves until ctx ends or a part cannot go on; then the others end too.
func (n *serverNode) run(ctx context.Context, etcdFailed <-chan error, ready func() error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		n.store.Watch(ctx, registry.WatchConfig{Diverged: n.metrics.diverged, Down: n.metrics.down}, func(b registry.Batch) {
			n.catalog.Apply(b.Revision, b.Synced, b.Changes)
			n.metrics.revision.Set(float64(b.Revision))
		})
		return nil
	})
	group.Go(func() error { return n.plane.Run(ctx, n.xds) })
	group.Go(func() error { return n.announceReady(ctx, ready) })
	group.Go(func() error {
		if err := n.rest.Serve(n.restListener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the REST API: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		if err := n.grpc.Serve(n.xdsListener); err != nil {
			return fmt.Errorf("serve xDS and the gRPC API: %w", err)
		}
		return nil
	})
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
	_ = n.xds.Shutdown(ctx) // what does not end in time is cut off by Stop
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		n.grpc.GracefulStop()
	}()
	if err := n.rest.Shutdown(ctx); err != nil {
		_ = n.rest.Close()
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		n.grpc.Stop()
		<-stopped
	}
}

// serverMetrics are the metrics of the wiring itself.
type serverMetrics struct {
	revision prometheus.Gauge
	missed   prometheus.Counter
	up       prometheus.Gauge
}

func newServerMetrics(r prometheus.Registerer) serverMetrics {
	m := serverMetrics{
		revision: prometheus.NewGauge(prometheus.GaugeOpts{Name: "heddle_registry_revision", Help: "etcd's revision up to which this server knows the mesh."}),
		missed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "heddle_registry_missed_total", Help: "Objects whose change the watch of etcd had missed, found by comparing with full lists."}),
		up:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "heddle_registry_followed", Help: "1 while etcd is followed, 0 while it is away and what is known stays in force."}),
	}
	r.MustRegister(m.revision, m.missed, m.up)
	return m
}

func (m serverMetrics) diverged(objects int) { m.missed.Add(float64(objects)) }

func (m serverMetrics) down(err error) {
	if err != nil {
		m.up.Set(0)
		return
	}
	m.up.Set(1)
}
