package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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

// Config says what one agent is made of.
type Config struct {
	Gossip  gossip.Config
	Sources []Source
	// Keys reads the keys of gossip anew, for as long as the agent runs; nil: they stay
	// those of Gossip.
	Keys func() (gossip.Keys, error)
	// Proxy is the Envoy that serves this host; nil: none runs here, and others may be
	// served by XDS.
	Proxy *proxy.Config
	XDS   net.Listener // where the host's Envoy is configured from; Run closes it
	// Ready, if given, is called once the others can reach this host and its proxy
	// serves, and again when something in the proxy's status changes.
	Ready  func(proxy.Status) error
	Logger *slog.Logger
}

// Agent is one host. Make it with [New], and run it once.
type Agent struct {
	cfg     Config
	gossip  *gossip.Node
	catalog *catalog.Catalog
	plane   plane

	mu    sync.Mutex
	found map[string][]hosts.Service // guarded by mu: by source
	fleet *hosts.Fleet               // guarded by mu
}

// New puts an agent together, and starts nothing.
func New(cfg Config) (*Agent, error) {
	node, err := gossip.New(cfg.Gossip)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, gossip: node, catalog: catalog.New(catalog.Config{Logger: cfg.Logger}),
		found: map[string][]hosts.Service{}, fleet: hosts.NewFleet(HostProxy),
	}
	a.plane = newPlane(a.catalog, cfg.Logger)
	return a, nil
}

// Run is the life of the agent. When ctx ends the host leaves the fleet, and what it
// runs with it, while its proxy finishes the requests that it has.
func (a *Agent) Run(ctx context.Context) error {
	a.catalog.Apply(0, true, a.fleet.Start())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.gossip.Run(ctx) })
	group.Go(func() error { return a.plane.run(ctx, a.cfg.XDS) })
	group.Go(func() error { return a.follow(ctx) })
	if a.cfg.Keys != nil {
		group.Go(func() error { a.rotate(ctx); return nil })
	}
	for _, source := range a.cfg.Sources {
		group.Go(func() error {
			if err := source.Run(ctx, func(list []hosts.Service) { a.has(source.Name(), list) }); err != nil {
				return fmt.Errorf("find services by %s: %w", source.Name(), err)
			}
			return nil
		})
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

// proxy runs the host's Envoy, if it has one.
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
	config := *a.cfg.Proxy
	config.Report = func(status proxy.Status) {
		if err := report(status); err != nil {
			a.cfg.Logger.Error("that the host is ready cannot be told", "error", err)
		}
	}
	runner, err := proxy.New(config)
	if err != nil {
		return err
	}
	return runner.Run(ctx)
}

// keysInterval is how often the keys are read anew.
const keysInterval = time.Second

// rotate takes other keys as soon as they are there. Keys that cannot be read change
// nothing, which is told once.
func (a *Agent) rotate(ctx context.Context) {
	have, told := a.cfg.Gossip.Keys, ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(keysInterval):
		}
		keys, err := a.cfg.Keys()
		if err == nil && slices.EqualFunc(keys, have, bytes.Equal) {
			told = ""
			continue
		}
		if err == nil {
			err = a.gossip.SetKeys(keys)
		}
		switch {
		case err == nil:
			have, told = keys, ""
			a.cfg.Logger.Info("the keys of gossip have been changed", "keys", len(keys))
		case told != err.Error():
			told = err.Error()
			a.cfg.Logger.Error("the keys of gossip cannot be read; those before are used", "error", err)
		}
	}
}

// has takes what a source found, and tells the other hosts.
func (a *Agent) has(source string, list []hosts.Service) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found[source] = list
	entries := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(a.found)) {
		for _, s := range a.found[name] {
			s.Source = name
			body, err := s.Encode()
			if err != nil {
				a.cfg.Logger.Error("a service cannot be told to the other hosts", "service", s.Name, "id", s.ID, "error", err)
				continue
			}
			entries[name+"/"+s.ID] = body
		}
	}
	if err := a.gossip.Publish(entries); err != nil {
		a.cfg.Logger.Error("the other hosts are not told what this one runs; they have what was told before", "error", err)
	}
}

// follow turns what hosts say into changes of the catalog.
func (a *Agent) follow(ctx context.Context) error {
	feed := a.gossip.Subscribe()
	defer feed.Close()
	var told []hosts.Problem
	for {
		changed, err := feed.Wait(ctx)
		if err != nil {
			return nil
		}
		var changes []mesh.Change
		a.mu.Lock()
		for _, host := range changed {
			changes = append(changes, a.fleet.Set(host.Name, statusOf(host.Status), a.servicesOf(host))...)
		}
		problems := a.fleet.Problems()
		a.mu.Unlock()
		if len(changes) > 0 {
			a.catalog.Apply(0, true, changes)
		}
		told = a.tell(problems, told)
	}
}

// tell logs the problems that are new, and those that are over.
func (a *Agent) tell(problems, told []hosts.Problem) []hosts.Problem {
	for _, p := range problems {
		if !slices.Contains(told, p) {
			a.cfg.Logger.Warn("a service is not served as its host says it", "host", p.Host, "service", p.Service, "problem", p.Message)
		}
	}
	for _, p := range told {
		if !slices.Contains(problems, p) {
			a.cfg.Logger.Info("a problem of a service is over", "host", p.Host, "service", p.Service, "problem", p.Message)
		}
	}
	return problems
}

func statusOf(s gossip.Status) hosts.Status {
	switch s {
	case gossip.Failed:
		return hosts.Failed
	case gossip.Left, gossip.Gone:
		return hosts.Left
	default:
		return hosts.Alive
	}
}

func (a *Agent) servicesOf(host gossip.Host) []hosts.Service {
	list := make([]hosts.Service, 0, len(host.Entries))
	for _, key := range slices.Sorted(maps.Keys(host.Entries)) {
		s, err := hosts.Decode(host.Entries[key])
		if err != nil {
			a.cfg.Logger.Warn("a host tells of a service that is not understood", "host", host.Name, "entry", key, "error", err)
			continue
		}
		list = append(list, s)
	}
	return list
}
