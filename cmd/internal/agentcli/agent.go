package agentcli

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// Agent runs one host of a mesh without a server.
type Agent struct {
	gossipFlags
	sourceFlags
	listenerFlags
	proxyFlags
	StateFile string `type:"path" placeholder:"FILE" help:"What the agent has to know when it starts again: where the other hosts are, what is drained, and which ports its services had first."`
	ReadyFile string `type:"path" placeholder:"FILE" help:"Written once the host can be reached and its proxy serves, with its addresses as JSON; removed at the end."`
	checkFlags
	bridgeFlags
	apiFlags
	interceptFlags
}

// Help shows examples below the flags.
func (*Agent) Help() string {
	return `Examples:
  heddle agent --address 10.0.0.1 --key-file /etc/heddle/gossip.keys --services /etc/heddle/services.json
  heddle agent --address 10.0.0.2 --key-file /etc/heddle/gossip.keys --services /etc/heddle/services.json --seed 10.0.0.1
  heddle agent --address 10.0.0.4 --key-file /etc/heddle/gossip.keys --seed 10.0.0.1 --docker
  heddle agent --address 10.0.0.5 --key-file /etc/heddle/gossip.keys --seed 10.0.0.1 --systemd
  heddle agent --address 10.0.0.9 --key-file /etc/heddle/gossip.keys --seed 10.0.0.1 --listener --expose web=80 --expose api
  heddle agent --address 10.0.0.4 --key-file /etc/heddle/gossip.keys --services /etc/heddle/services.json --seed 10.0.0.1 --proxy haproxy
  heddle agent --address 10.0.0.4 --key-file /etc/heddle/gossip.keys --seed 10.0.0.1 --intercept
  heddle agent --address 10.0.0.3 --key-file /etc/heddle/gossip.keys --seed 10.0.0.1 --bridge --server https://mesh.example.org:7080 --token-file /etc/heddle/token
  heddle agent --address 10.0.0.3 --key-file /etc/heddle/gossip.keys --services /etc/heddle/services.json --default-check "http /healthz" --check-interval 1s --check-timeout 500ms`
}

// Run runs the agent until a signal ends it.
func (c *Agent) Run(ctx context.Context, line *cli.Globals, con *cli.Console, log *slog.Logger) error {
	cfg, err := c.config(log)
	if err != nil {
		return err
	}
	dns, err := c.takeConnections(c.Proxy, c.Listener, log)
	if err != nil {
		return err
	}
	ports, err := c.apiPorts(c.ProxyAddress)
	if err != nil {
		return err
	}
	file := cli.ReadyFile{Path: c.ReadyFile, Log: log}
	release, err := file.Claim(ctx, append(ports, cli.Port{Listener: &cfg.XDS, Flag: "--xds", Address: c.XDSAddress})...)
	if err != nil {
		return err
	}
	defer release()
	cfg.Reserved = func(status proxy.Status) map[mesh.Port]string { return c.reserved(&cfg, status) }
	if err := c.exposable(cfg.Exposed, cfg.Reserved(proxy.Status{})); err != nil {
		return err
	}
	cfg.MostPorts = c.mostPorts()
	cfg.Metrics = c.newMetrics()
	cfg.Ready = c.tellReady(file, &cfg)
	if cfg.Proxy, err = c.hostProxy(&cfg, c.redirected, con.Out); err != nil {
		return err
	}
	bridge, err := c.joinMesh(line, &cfg)
	if err != nil {
		return err
	}
	if cfg.Gossip.Meta, err = (hosts.Meta{Version: cli.Release()}).Encode(); err != nil {
		return err
	}
	a, err := agent.New(cfg)
	if err != nil {
		return cli.WrongFlags(err)
	}
	tasks := []func(context.Context) error{a.Run, c.webhooks(a, log).Run}
	if serve, err := c.apiOf(a, cfg.Gossip.Name, log); err != nil {
		return err
	} else if serve != nil {
		tasks = append(tasks, serve)
	}
	tasks = append(tasks, func(ctx context.Context) error {
		watch := a.Watch()
		defer watch.Close()
		whenQuiet(ctx, watch.Wait, debug.FreeOSMemory)
		return nil
	})
	if bridge != nil {
		tasks = append(tasks, func(ctx context.Context) error { return bridge.Export(ctx, a) })
	}
	return cli.Beside(ctx, func(ctx context.Context) error { return together(ctx, tasks) }, dns...)
}

// config is what the agent is made of, as far as it is known before ports are taken.
func (c *Agent) config(log *slog.Logger) (agent.Config, error) {
	cfg := agent.Config{Logger: log}
	var err error
	if cfg.Gossip, cfg.Keys, err = c.gossipConfig(log); err != nil {
		return cfg, err
	}
	if cfg.Exposed, err = c.exposedServices(c.Services != "" || c.Docker || c.Systemd); err != nil {
		return cfg, err
	}
	c.ProxyAddress = c.listenAddress(c.Listener)
	if c.StateFile != "" {
		if cfg.Remember, err = filepath.Abs(c.StateFile); err != nil {
			return cfg, err
		}
	}
	found, err := c.sources(cfg.Gossip.Bind.Addr(), log)
	if err != nil {
		return cfg, err
	}
	cfg.Sources, err = c.checked(cfg.Gossip.Name, found, log)
	return cfg, err
}

// together runs tasks until the first fails, or all are done.
func together(ctx context.Context, tasks []func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range tasks {
		group.Go(func() error { return task(ctx) })
	}
	return group.Wait()
}
