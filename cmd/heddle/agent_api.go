package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/agent/api/page"
	"github.com/heddle-mesh/heddle/internal/agent/webhooks"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// agentAPI is the agent's API and page, and the listeners that it tells of changes.
type agentAPI struct {
	API         string   `name:"api" placeholder:"HOST:PORT" help:"Where the agent answers questions about the fleet: its API, that of Sidecar, and a page; none: nowhere. Whoever reaches it may read. Default: 127.0.0.1:7777, or port 7777 at a --proxy-address on loopback."`
	TokenFile   string   `name:"api-token-file" type:"path" placeholder:"FILE" help:"Who may write by the API: a token of 16 characters or more on each line; read again when it changes. Without it nobody may."`
	Hosts       []string `name:"api-host" placeholder:"NAME" help:"A name by which browsers may call the API, besides localhost, the host's name and addresses. May be repeated."`
	Origins     []string `name:"api-allow-origin" placeholder:"ORIGIN" help:"Pages of this origin may read the API from browsers; * are all. May be repeated."`
	ListenerURL []string `name:"listener-url" env:"HEDDLE_LISTENER_URLS" placeholder:"URL" help:"Is told of each change of the fleet by a POST, as Sidecar does. May be repeated; services of this host may ask for it themselves."`

	listener net.Listener // nil: there is no API
	ready    atomic.Bool
	metrics  *prometheus.Registry
}

const apiPort = "7777" // Sidecar's

// ports gives what has to be listened on, from where the proxy listens.
func (c *agentAPI) ports(proxyAddress string) ([]port, error) {
	for _, address := range c.ListenerURL {
		if err := webhooks.CheckURL(address); err != nil {
			return nil, &usageError{message: "--listener-url " + address + ": " + err.Error()}
		}
	}
	if c.API == "" {
		c.API = net.JoinHostPort("127.0.0.1", apiPort)
		if own := net.JoinHostPort(proxyAddress, apiPort); onLoopback(own) {
			c.API = own
		}
	}
	if c.API == "none" {
		if c.TokenFile != "" || len(c.Hosts) > 0 || len(c.Origins) > 0 {
			return nil, &usageError{message: "--api none has no use for --api-token-file, --api-host or --api-allow-origin"}
		}
		return nil, nil
	}
	if c.TokenFile != "" {
		if _, err := os.ReadFile(c.TokenFile); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "--api-token-file", Err: err}
		}
	}
	return []port{{&c.listener, "--api", c.API}}, nil
}

// count makes what the agent's own parts are counted in; nil: nobody can ask for it.
func (c *agentAPI) count() prometheus.Registerer {
	if c.listener == nil {
		return nil
	}
	c.metrics = prometheus.NewRegistry()
	c.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return c.metrics
}

// tell gives what answers and tells of the agent until ctx ends.
func (c *agentAPI) tell(a *agent.Agent, name string, log *slog.Logger) (func(ctx context.Context) error, error) {
	hooks := webhooks.New(webhooks.Config{State: a.State, Watch: func() webhooks.Watch { return a.Watch() }, Local: a.Local, URLs: c.ListenerURL, Logger: log})
	if c.listener == nil {
		return hooks.Run, nil
	}
	server, err := c.server(a, name, log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return hooks.Run(ctx) })
		group.Go(func() error { return server.Run(ctx, c.listener) })
		return group.Wait()
	}, nil
}

func (c *agentAPI) server(a *agent.Agent, name string, log *slog.Logger) (*api.Server, error) {
	if !onLoopback(c.listener.Addr().String()) {
		log.Warn("whoever reaches the API may read what runs in the fleet", "address", c.listener.Addr())
	}
	show, err := page.New(func() api.Fleet {
		fleet := api.FleetOf(a.State())
		fleet.Agent = versionLine()
		return fleet
	}, log)
	if err != nil {
		return nil, err
	}
	c.metrics.MustRegister(api.Metrics{State: a.State})
	cfg := api.Config{
		State: a.State, Watch: func() api.Watch { return a.Watch() }, Drain: a.Drain, Ready: c.ready.Load, Page: show,
		Metrics: promhttp.HandlerFor(c.metrics, promhttp.HandlerOpts{}), Hosts: append(c.Hosts, name), Origins: c.Origins, Version: versionLine(), Logger: log,
	}
	if c.TokenFile != "" {
		cfg.Tokens = func() []byte {
			body, err := os.ReadFile(c.TokenFile)
			if err != nil {
				log.Error("nobody may write by the API", "error", err)
			}
			return body
		}
	}
	return api.New(cfg), nil
}
