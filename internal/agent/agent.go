package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// HostProxy is the name that the host's own proxy has in the mesh.
const HostProxy mesh.ServiceName = "heddle-host"

// Source finds services on this host. Run hands over the full set that it knows, each
// time that it changes, until ctx ends: empty means that there are none. Errors are of
// what cannot get better by itself.
type Source interface {
	Name() string
	Run(ctx context.Context, found func([]hosts.Service)) error
}

// Bridge joins the fleet to a mesh with a server. Run hands over what this host says of
// itself as a bridge, with what it found in the mesh, each time that either changes.
type Bridge interface {
	Begin() hosts.Bridge // what it says before it has found anything
	Run(ctx context.Context, found func(hosts.Bridge, []hosts.Service)) error
}

// Config says what one agent is made of.
type Config struct {
	Gossip  gossip.Config
	Sources []Source
	Bridge  Bridge // nil: this host is none
	// Exposed are the services that the host's proxy serves, each at the port given or
	// else at its own (0); nil: all.
	Exposed map[mesh.ServiceName]mesh.Port
	// Reserved gives the ports where something else of this host listens, with what does:
	// the proxy is not told to listen there. It is asked at the start, before there is a
	// proxy, and each time that the proxy's status changes. nil: there are none.
	Reserved func(proxy.Status) map[mesh.Port]string
	// MostPorts bounds at how many ports of services the proxy is told to listen; 0: it
	// is not bounded.
	MostPorts int
	// Keys reads the keys of gossip anew, for as long as the agent runs; nil: they stay
	// those of Gossip.
	Keys func() (gossip.Keys, error)
	// Proxy makes what serves the fleet's services on this host, from the catalog or from
	// XDS; it is run once the other hosts can reach this one. report is to be called when
	// it serves, and when something in its status changes, and wrong with all that it does
	// not do as it is told. nil: nothing is run.
	Proxy func(fleet *catalog.Catalog, report func(proxy.Status), wrong func([]proxy.Problem)) (Proxy, error)
	XDS   net.Listener // where Envoys of this host are configured from; Run closes it
	// PushInterval is how often the proxy is told of changes when they do not end; after
	// it was quiet it is told at once. Default 1 s.
	PushInterval time.Duration
	// Remember is a file in which the agent keeps what it needs when it starts again:
	// where the other hosts are, and what is drained. "": it starts with nothing.
	Remember string
	// Ready, if given, is called once the others can reach this host and its proxy
	// serves, and again when something in the proxy's status changes.
	Ready func(proxy.Status) error
	// Metrics takes what is counted of the proxy's configuration; nil: it is kept to itself.
	Metrics prometheus.Registerer
	Logger  *slog.Logger
}

// Proxy serves the services of the fleet on this host until ctx ends, and then
// finishes the requests that it has.
type Proxy interface {
	Run(ctx context.Context) error
}

// Agent is one host. Make it with [New], and run it once.
type Agent struct {
	cfg     Config
	gossip  *gossip.Node
	catalog *catalog.Catalog
	plane   plane
	state   states
	// of the goroutine that follows gossip:
	fleet     *hosts.Fleet
	forgotten forgotten

	reserved chan map[mesh.Port]string // to it: the ports of this host's own

	problems  problems
	remembers keeper

	mu       sync.Mutex
	found    found         // guarded by mu
	claiming claiming      // guarded by mu
	known    chan struct{} // closed with mu held, once claiming has begun
}

// New puts an agent together, and starts nothing.
func New(cfg Config) (*Agent, error) {
	cfg.PushInterval = cmp.Or(cfg.PushInterval, time.Second)
	before, err := recall(cfg.Remember)
	if err == nil && cfg.Remember != "" { // one that can never be written would lose what is drained unseen
		if err = before.write(cfg.Remember); err != nil {
			err = fmt.Errorf("what the agent is to know when it starts again cannot be written (its folder has to be there): %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	cfg.Gossip.Places = before.Hosts
	node, err := gossip.New(cfg.Gossip)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, gossip: node, catalog: catalog.New(catalog.Config{Logger: cfg.Logger}), fleet: hosts.NewFleet(HostProxy, cfg.Exposed), forgotten: forgotten{}, reserved: make(chan map[mesh.Port]string),
		found: found{sources: map[string][]hosts.Service{}, drained: map[string]struct{}{}},
	}
	a.problems.wake, a.problems.many = make(chan struct{}, 1), rate.Sometimes{Interval: time.Minute}
	alone := len(cfg.Gossip.Seeds)+len(cfg.Gossip.Places) == 0
	if a.known = make(chan struct{}); alone {
		close(a.known)
	}
	a.claiming = claiming{begun: alone, recalled: before.Claims, until: time.Now().Add(recalledFor)}
	if cfg.Reserved != nil {
		a.fleet.Reserve(cfg.Reserved(proxy.Status{}))
	}
	a.fleet.Limit(cfg.MostPorts)
	for _, name := range before.Drained {
		a.found.drained[name] = struct{}{}
	}
	a.state.current = &hosts.State{Fleet: cfg.Gossip.Fleet, Self: cfg.Gossip.Name, Changed: time.Now()}
	if cfg.Bridge != nil { // said from the beginning: who says nothing of it is none
		a.bridges(cfg.Bridge.Begin(), nil)
	}
	a.plane = newPlane(a.catalog, cfg.Metrics, cfg.Logger)
	a.remembers.path, a.remembers.what, a.remembers.log = cfg.Remember, a.memory, cfg.Logger
	return a, nil
}

// Run is the life of the agent. When ctx ends the host leaves the fleet, and what it
// runs with it, while its proxy finishes the requests that it has.
func (a *Agent) Run(ctx context.Context) error {
	a.catalog.Apply(0, true, a.fleet.Start())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.gossip.Run(ctx) })
	group.Go(func() error { return a.plane.run(ctx, a.cfg.XDS) })
	group.Go(func() error { a.watchEnvoys(ctx); return nil })
	group.Go(func() error { a.tellProblems(ctx); return nil })
	group.Go(func() error { return a.follow(ctx) })
	if a.cfg.Keys != nil {
		group.Go(func() error { a.rotate(ctx); return nil })
	}
	if a.cfg.Remember != "" {
		group.Go(func() error { a.remembers.run(ctx); return nil })
	}
	for _, source := range a.cfg.Sources {
		group.Go(func() error {
			if err := source.Run(ctx, func(list []hosts.Service) { a.has(source.Name(), list) }); err != nil {
				return fmt.Errorf("find services by %s: %w", source.Name(), err)
			}
			return nil
		})
	}
	if a.cfg.Bridge != nil {
		group.Go(func() error { return a.cfg.Bridge.Run(ctx, a.bridges) })
	}
	group.Go(func() error {
		select {
		case <-a.gossip.Ready():
			return a.proxy(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	return group.Wait()
}

// proxy runs what serves on this host, if anything does.
func (a *Agent) proxy(ctx context.Context) error {
	report := func(status proxy.Status) error {
		if a.cfg.Ready == nil {
			return nil
		}
		return a.cfg.Ready(status)
	}
	if a.cfg.Proxy == nil {
		return report(proxy.Status{})
	}
	one, err := a.cfg.Proxy(a.catalog, func(status proxy.Status) {
		if a.cfg.Reserved != nil {
			select {
			case a.reserved <- a.cfg.Reserved(status):
			case <-ctx.Done():
			}
		}
		if err := report(status); err != nil {
			a.cfg.Logger.Error("that the host is ready cannot be told", "error", err)
		}
	}, func(list []proxy.Problem) { a.proxyWrong(ofProxy, list) })
	if err != nil {
		return err
	}
	return one.Run(ctx)
}

// Catalog is the fleet as the host's proxy is configured from it.
func (a *Agent) Catalog() *catalog.Catalog { return a.catalog }

// Known is closed once this host has heard what another one knows of the fleet, or has
// waited for that in vain.
func (a *Agent) Known() <-chan struct{} { return a.known }
