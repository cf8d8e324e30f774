package agentcli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/agent/api/page"
	"github.com/heddle-mesh/heddle/internal/agent/webhooks"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// apiFlags is the agent's API and page, and the listeners that it tells of changes.
type apiFlags struct {
	API         string   `name:"api" placeholder:"HOST:PORT" help:"Where the agent answers questions about the fleet: its API, that of Sidecar, and a page; none: nowhere. Whoever reaches it may read. Default: 127.0.0.1:7777, or port 7777 at a --proxy-address on loopback."`
	TokenFile   string   `name:"api-token-file" type:"path" placeholder:"FILE" help:"Who may write by the API: a token of 16 characters or more on each line; read again when it changes. Without it nobody may."`
	Hosts       []string `name:"api-host" placeholder:"NAME" help:"A name by which the API may be called, besides localhost, addresses, and the names of the host and its machine. May be repeated."`
	Origins     []string `name:"api-allow-origin" placeholder:"ORIGIN" help:"Pages of this origin may read the API from browsers; * are all. May be repeated."`
	ListenerURL []string `name:"listener-url" env:"HEDDLE_LISTENER_URLS" placeholder:"URL" help:"Is told of each change of the fleet by a POST, as Sidecar does. May be repeated; services of this host may ask for it themselves."`

	listener net.Listener // nil: there is no API
	ready    atomic.Bool
	metrics  *prometheus.Registry
}

const apiPort = "7777" // Sidecar's

// apiPorts gives what has to be listened on, from where the proxy listens.
func (c *apiFlags) apiPorts(proxyAddress string) ([]cli.Port, error) {
	for _, address := range c.ListenerURL {
		if err := webhooks.CheckURL(address); err != nil {
			return nil, &cli.UsageError{Message: "--listener-url " + address + ": " + err.Error()}
		}
	}
	if c.API == "" {
		c.API = net.JoinHostPort("127.0.0.1", apiPort)
		if own := net.JoinHostPort(proxyAddress, apiPort); cli.OnLoopback(own) {
			c.API = own
		}
	}
	if c.API == "none" {
		if c.TokenFile != "" || len(c.Hosts) > 0 || len(c.Origins) > 0 {
			return nil, &cli.UsageError{Message: "--api none has no use for --api-token-file, --api-host or --api-allow-origin"}
		}
		return nil, nil
	}
	if c.TokenFile != "" {
		body, err := os.ReadFile(c.TokenFile)
		if err == nil {
			if err = api.CheckTokens(body); err != nil {
				err = fmt.Errorf("%s: %w", c.TokenFile, err)
			}
		}
		if err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "--api-token-file", Err: err}
		}
	}
	return []cli.Port{{Listener: &c.listener, Flag: "--api", Address: c.API}}, nil
}

// newMetrics makes what the agent's own parts are counted in; nil: nobody can ask for it.
func (c *apiFlags) newMetrics() prometheus.Registerer {
	if c.listener == nil {
		return nil
	}
	c.metrics = prometheus.NewRegistry()
	c.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return c.metrics
}

// webhooks gives what tells listeners of changes of the fleet.
func (c *apiFlags) webhooks(a *agent.Agent, log *slog.Logger) *webhooks.Hooks {
	return webhooks.New(webhooks.Config{State: a.State, Watch: func() webhooks.Watch { return a.Watch() }, Local: a.Local, URLs: c.ListenerURL, Logger: log})
}

// apiOf gives what answers questions about the fleet until ctx ends; nil: nothing.
func (c *apiFlags) apiOf(a *agent.Agent, name string, log *slog.Logger) (func(ctx context.Context) error, error) {
	if c.listener == nil {
		return nil, nil //nolint:nilnil // none is no error
	}
	server, err := c.server(a, name, log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return server.Run(ctx, c.listener) }, nil
}

func (c *apiFlags) server(a *agent.Agent, name string, log *slog.Logger) (*api.Server, error) {
	if !cli.OnLoopback(c.listener.Addr().String()) {
		log.Warn("whoever reaches the API may read what runs in the fleet", "address", c.listener.Addr())
	}
	show, err := page.New(func() api.Fleet {
		fleet := api.FleetOf(a.State())
		fleet.Agent = cli.VersionLine()
		return fleet
	}, log)
	if err != nil {
		return nil, err
	}
	c.metrics.MustRegister(api.Metrics{State: a.State})
	cfg := api.Config{
		State: a.State, Watch: func() api.Watch { return a.Watch() }, Drain: a.Drain, Ready: c.ready.Load, Page: show,
		Metrics: promhttp.HandlerFor(c.metrics, promhttp.HandlerOpts{}), Hosts: slices.Concat(c.Hosts, ownNames(name)), Origins: c.Origins, Version: cli.VersionLine(), Logger: log,
	}
	if c.TokenFile != "" {
		cfg.Tokens = tokensOf(c.TokenFile, log)
	}
	return api.New(cfg), nil
}

// tokensOf reads a file of tokens; that it cannot is logged once, until it can again.
func tokensOf(file string, log *slog.Logger) func() []byte {
	var failed atomic.Bool
	return func() []byte {
		body, err := os.ReadFile(file)
		if before := failed.Swap(err != nil); err != nil && !before {
			log.Error("nobody may write by the API", "error", err)
		}
		return body
	}
}

// ownNames are those of the host in its fleet, and of its machine, with its domain if that
// is said, and without.
func ownNames(name string) []string {
	names := []string{name}
	if machine, err := os.Hostname(); err == nil { // else it has no name to be called by
		short, _, _ := strings.Cut(machine, ".")
		names = append(names, machine, short)
	}
	return names
}
