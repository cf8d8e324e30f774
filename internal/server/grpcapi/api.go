package grpcapi

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// source is what Meta.Source says of objects written through this API.
const source = "grpc"

// Config says what the API works on.
type Config struct {
	Registry   *registry.Store
	Catalog    *catalog.Catalog
	Registerer prometheus.Registerer // of the API's metrics; nil: not registered
	// TakeTimeout is how long a watcher may take for one response, which it holds
	// up etcd's changes with; default 10 s, as in the REST API.
	TakeTimeout time.Duration
	Logger      *slog.Logger // default: discard
	// RequireReadToken has reads need a token, or a certificate that Identities
	// knows (nil: none).
	RequireReadToken bool
	Identities       Identities
}

// Identities finds whom a connection's certificate is of; the zero value: it has none.
type Identities interface {
	Peer(ctx context.Context) (mesh.Identity, error)
}

// API implements the gRPC services. Make it with [New].
type API struct {
	registry *registry.Store
	catalog  *catalog.Catalog
	logger   *slog.Logger
	metrics  metrics
	watches  watches
	timeout  time.Duration // of a watcher

	requireReader bool
	identities    Identities // nil: none
}

// New makes the API.
func New(cfg Config) *API {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &API{
		registry: cfg.Registry, catalog: cfg.Catalog, logger: logger,
		metrics: newMetrics(cfg.Registerer), timeout: cmp.Or(cfg.TakeTimeout, 10*time.Second),
		requireReader: cfg.RequireReadToken, identities: cfg.Identities,
	}
}

// Register adds the services to a gRPC server.
func (a *API) Register(server grpc.ServiceRegistrar) {
	heddlev1.RegisterUpstreamServiceServer(server, &upstreamServer{api: a})
	heddlev1.RegisterServiceServiceServer(server, &serviceServer{api: a})
}

// Stop ends the watches under way, and those that begin later, with UNAVAILABLE.
// Call it before a graceful stop of the gRPC server, which waits for them.
func (a *API) Stop() { a.watches.stop() }

// get gives one service that the view shows.
func (a *API) get(ctx context.Context, v *view, name string) (mesh.Service, error) {
	if err := mesh.Invalid("read "+v.noun, nameFaults(name)); err != nil {
		return mesh.Service{}, a.refusal(ctx, err, codes.Aborted)
	}
	service, err := a.read(ctx, v, mesh.ServiceName(name))
	return service, a.refusal(ctx, err, codes.Aborted)
}

// read gives one service, or not found if the view does not show it.
func (a *API) read(ctx context.Context, v *view, name mesh.ServiceName) (mesh.Service, error) {
	service, err := a.registry.Service(ctx, name)
	if err != nil {
		return mesh.Service{}, err
	}
	return service, v.refuse(&service)
}
