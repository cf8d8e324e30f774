package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// Config has what a server needs; Registry and Catalog are required.
type Config struct {
	Registry *registry.Store
	Catalog  *catalog.Catalog
	// Proxies and Problems give what the control plane knows; nil: nothing.
	Proxies  func() []Proxy
	Problems func() []Problem
	// ProxyConfig tells what a connected proxy has; nil: there are none.
	ProxyConfig func(mesh.ProxyQuery) (mesh.ProxyConfig, error)
	// Observed gives what the mesh's proxies saw of calls, and who is watched; nil: nothing.
	Observed func(context.Context) (insight.Observed, error)
	// Mesh is what questions about the mesh are asked of; nil: the catalog alone.
	Mesh func() insight.Mesh
	// Machines shares what becomes of virtual machines with others; nil: the server's own.
	Machines *placement.Cache
	// Turns bound how many plans are made at a time; nil: the server's own.
	Turns *insight.Turns
	// Ready says why the process cannot serve yet, beside what the server
	// checks by itself (catalog synced, etcd answers); nil: nothing more.
	Ready func() error
	// Hosts are the names by which clients may call the server, beside localhost
	// and IP addresses; see [hosts.allow].
	Hosts []string
	// Identities gives workloads their certificates; nil: there are none.
	Identities *identity.Authority
	// RequireReadToken has reads need a token or a workload's certificate, too.
	RequireReadToken bool
	UI               http.Handler          // serves the pages below /ui/; nil: not served
	Metrics          http.Handler          // serves /metrics; nil: not served
	Registerer       prometheus.Registerer // of the server's own metrics; nil: not registered
	Version          string
	// BodyTimeout is how long a request's body may take to come; default 10 s.
	BodyTimeout time.Duration
	Logger      *slog.Logger // default: discard
}

// Server answers HTTP requests.
type Server struct {
	cfg       Config
	mux       *http.ServeMux
	api       huma.API
	logger    *slog.Logger
	ready     readiness
	streams   atomic.Int64 // change streams open now
	hosts     hosts
	name      string         // of this process, to tell servers apart
	layouts   *insight.Turns // of topologies that are laid out
	metrics   metrics
	refreshes refreshes
	concerns  func() []mesh.DiscoveryConcern // of this server's settings of sources
	// operations names what each pattern of mux does, for metrics and the log.
	// Complete when New returns.
	operations map[string]string

	closing   chan struct{} // closed by Close; change streams end with it
	closeOnce sync.Once
}

// New makes a server; nothing is started.
func New(cfg Config) (*Server, error) {
	if cfg.Registry == nil || cfg.Catalog == nil {
		return nil, errors.New("the server needs a registry and a catalog")
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), logger: cfg.Logger, closing: make(chan struct{}), operations: map[string]string{}, layouts: insight.NewLayoutTurns(), name: rand.Text(), concerns: func() []mesh.DiscoveryConcern { return nil }}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.cfg.BodyTimeout == 0 {
		s.cfg.BodyTimeout = 10 * time.Second
	}
	if s.cfg.Turns == nil {
		s.cfg.Turns = insight.NewTurns()
	}
	if s.cfg.Machines == nil {
		s.cfg.Machines = &placement.Cache{}
	}
	var err error
	if s.hosts, err = newHosts(cfg.Hosts); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(cfg.Registerer, func() float64 { return float64(s.streams.Load()) }); err != nil {
		return nil, fmt.Errorf("register the server's metrics: %w", err)
	}
	s.api = newAPI(s.mux, s.withoutAuthors)
	s.serviceOperations()
	s.instanceOperations()
	s.routeOperations()
	s.runtimeOperations()
	s.historyOperations()
	s.statusOperations()
	s.proxyOperations()
	s.eventOperations()
	s.tokenOperations()
	s.signingKeyOperations()
	s.identityOperations()
	s.revocationOperations()
	s.approvalOperations()
	s.auditOperations()
	s.edgeOperations()
	s.driftOperations()
	s.topologyOperations()
	s.answerOperations()
	s.progressOperations()
	s.planOperations()
	s.vmOperations()
	s.discoveryOperations()
	s.refreshOperation()
	s.stateOperations()
	s.healthEndpoints()
	s.pages()
	if err := s.documents(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the change streams, which would otherwise keep a server from
// shutting down. Other requests still work.
func (s *Server) Close() { s.closeOnce.Do(func() { close(s.closing) }) }

// HTTPServer wraps the server with the timeouts that keep slow or idle clients
// from holding it. Change streams end when it shuts down.
func (s *Server) HTTPServer() *http.Server {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(s.Close)
	return server
}
