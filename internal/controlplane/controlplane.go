package controlplane

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// Applier takes a transaction of resources; [xds.Server] is one.
type Applier interface{ Apply(xds.Update) }

// Config has settings whose zero values work, but for Catalog.
type Config struct {
	Catalog *catalog.Catalog
	// SyncTimeout bounds how long a new stream waits for a catalog that has
	// not yet seen the whole mesh; default 10 s. An unsynced control plane
	// never serves an empty configuration.
	SyncTimeout time.Duration
	// Trust is how proxies know each other; zero: they have no identities.
	Trust translate.Trust
	// Identities finds who opens a stream; nil: nobody is asked to prove it.
	Identities Identities
	// RequireIdentity refuses streams whose opener has proven nothing.
	RequireIdentity bool
	Registerer      prometheus.Registerer // nil: no metrics
	// Translated is told of changes whose traces are followed, before what came of them
	// is applied: for how many scopes, into how many resources. nil: nobody is.
	Translated func(traces []string, began, ended time.Time, scopes, resources int)
	Logger     *slog.Logger // nil: discard
}

// ControlPlane translates for the connected proxies. Make it with [New], run
// it with Run, and give it to the xDS server, which calls Open.
type ControlPlane struct {
	cfg      Config
	metrics  metrics
	commands chan command
	done     chan struct{} // closed when Run has returned
	problems problemBoard
	scopes   scopeBoard
	applied  atomic.Int64
}

// Applied is the registry's revision up to which what was written is with the xDS
// server, so that its streams say of it how far they are.
func (c *ControlPlane) Applied() int64 { return c.applied.Load() }

var errStopping = status.Error(codes.Unavailable, "the control plane is stopping; connect to another one")

// New makes a control plane that serves nobody until Run.
func New(cfg Config) *ControlPlane {
	if cfg.SyncTimeout == 0 {
		cfg.SyncTimeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &ControlPlane{cfg: cfg, metrics: newMetrics(cfg.Registerer), commands: make(chan command), done: make(chan struct{})}
}

// command is a message to the loop: a stream that opens or closes a scope. The
// reply is handed over while both sides wait, or, when the stream gave up, the
// loop undoes what it did; so no open is lost and none is counted twice.
type command struct {
	ctx   context.Context // of the opener; the loop stops answering when it ends
	scope translate.Scope
	close bool
	reply chan error // for open: nil once the scope's resources are applied
}

// gaveUp says that the stream does not wait any more.
func (c command) gaveUp() bool { return c.ctx.Err() != nil }

// Run owns the state until ctx ends. It returns nil then, or the reason why it
// could not go on. It may be called once.
func (c *ControlPlane) Run(ctx context.Context, out Applier) error {
	defer close(c.done)
	feed := c.cfg.Catalog.Subscribe()
	defer feed.Close()
	changes := make(chan change)
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() { failed <- forward(ctx, feed, changes) }()
	defer func() { cancel(); <-failed }() //nolint:errcheck // it ends because it was told to

	l := newLoop(c, out)
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-changes:
			l.change(next)
		case cmd := <-c.commands:
			l.command(cmd)
		}
	}
}

// change is what one Wait of the feed gave.
type change struct {
	view    *catalog.View
	changes catalog.Changes
}

// forward turns the feed into a channel, one change at a time: while the loop
// is busy the feed coalesces.
func forward(ctx context.Context, feed *catalog.Feed, out chan<- change) error {
	for {
		view, changes, err := feed.Wait(ctx)
		if err != nil {
			return err
		}
		select {
		case out <- change{view, changes}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Open resolves the node of a new stream to its scope, and returns once the
// scope's resources are with the xDS server. The stream calls closeScope when it
// ends. Errors are gRPC statuses.
func (c *ControlPlane) Open(ctx context.Context, node *corev3.Node) (name string, closeScope func(), err error) {
	proxy, err := parseNode(node)
	if err != nil {
		return "", nil, err
	}
	if err := c.proven(ctx, proxy); err != nil {
		return "", nil, err
	}
	scope := translate.ScopeOf(proxy)
	ctx, cancel := context.WithTimeout(ctx, c.cfg.SyncTimeout)
	defer cancel()
	reply := make(chan error)
	if err := c.send(ctx, command{ctx: ctx, scope: scope, reply: reply}); err != nil {
		return "", nil, err
	}
	select {
	case err := <-reply:
		if err != nil {
			return "", nil, err
		}
		return scope.Name(), func() { c.release(context.WithoutCancel(ctx), scope) }, nil
	case <-ctx.Done():
		return "", nil, c.notReady(ctx)
	case <-c.done:
		return "", nil, errStopping
	}
}

// release waits for the loop, however the stream ended: ctx has no end of its own.
func (c *ControlPlane) release(ctx context.Context, scope translate.Scope) {
	_ = c.send(ctx, command{scope: scope, close: true}) // fails only when the loop has ended, with all its scopes
}

func (c *ControlPlane) send(ctx context.Context, cmd command) error {
	select {
	case c.commands <- cmd:
		return nil
	case <-ctx.Done():
		return c.notReady(ctx)
	case <-c.done:
		return errStopping
	}
}

func (c *ControlPlane) notReady(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return status.Error(codes.Canceled, "the stream ended before it was served")
	}
	return status.Error(codes.Unavailable, "the control plane has not read the whole mesh from etcd yet; try again")
}

// Problems lists what could not be translated as declared, for the connected
// proxies' scopes.
func (c *ControlPlane) Problems() []translate.Problem { return c.problems.list() }

// unreadableService tells a proxy's operator that the declaration is stored, but broken.
func unreadableService(name mesh.ServiceName) error {
	return status.Errorf(codes.NotFound, "the stored declaration of service %q cannot be read: apply it again (heddle apply -f, or PUT /api/v1/services/%s); heddle status says what is wrong with it", name, name)
}

// unknownService tells a proxy's operator that nothing is declared under its name.
func unknownService(name mesh.ServiceName) error {
	return status.Errorf(codes.NotFound, "service %q is not declared: declare it first (heddle apply -f, or PUT /api/v1/services/%s)", name, name)
}
