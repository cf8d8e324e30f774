package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/agent/files"
	"github.com/heddle-mesh/heddle/internal/agent/systemd"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// agentCmd runs one host of a mesh without a server.
type agentCmd struct {
	Name     string   `placeholder:"NAME" help:"The host's name, unique in the fleet. Default: the machine's."`
	Address  string   `required:"" env:"HEDDLE_ADDRESS" placeholder:"IP" help:"The host's address, where the other hosts and their proxies reach it."`
	Port     int      `default:"7946" help:"Where hosts gossip, by UDP and TCP."`
	Seed     []string `env:"HEDDLE_SEEDS" placeholder:"HOST[:PORT]" help:"A host of the fleet to look for, at its port or else the one of --port. May be repeated; more than one, so that a fleet is found while one is away."`
	Fleet    string   `default:"default" placeholder:"NAME" help:"Hosts of another fleet are not heard."`
	KeyFile  string   `type:"path" placeholder:"FILE" help:"The keys that gossip is encrypted and proven by: 32 random bytes in base64, a line each; the first is used, all are understood. Read again when it changes."`
	Services string   `type:"path" placeholder:"FILE" help:"What this host runs, as JSON; read again when it changes."`

	Systemd bool `help:"Find services among the units of this host's systemd: each that runs and has a section [X-Heddle] in its files."`

	Listener bool     `help:"Run nothing and expose services to the outside: the proxy serves those that --expose names, on all addresses unless --proxy-address says otherwise."`
	Expose   []string `placeholder:"NAME[=PORT]" help:"A service that --listener exposes, at its ServicePort or at this port. May be repeated."`

	Proxy        string `enum:"envoy,haproxy,none" default:"envoy" help:"What serves the services of the fleet on this host: envoy, haproxy, or none."`
	ProxyAddress string `placeholder:"IP" help:"Where the proxy listens on this host. Default: 127.0.0.1; with --listener all addresses."`
	Envoy        string `env:"HEDDLE_ENVOY" placeholder:"PATH" help:"The Envoy to run. Default: envoy on PATH, else .tools/envoy/envoy in or above the folder of this program or the current one."`
	OutboundPort int    `placeholder:"PORT" help:"Where the proxy takes HTTP calls to all services by host name. Default: 15001."`
	XDSAddress   string `name:"xds" default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where the agent configures Envoys; only on addresses that the host alone reaches."`
	StateFile    string `type:"path" placeholder:"FILE" help:"What the agent has to know when it starts again: where the other hosts are, and what is drained."`
	ReadyFile    string `type:"path" placeholder:"FILE" help:"Written once the host can be reached and its proxy serves, with its addresses as JSON; removed at the end."`
	agentDockerFlags
	agentCheckFlags
	agentBridgeFlags
	agentHAProxyFlags
	agentAPI
	agentInterceptFlags
	InsecurePlain bool `name:"insecure-gossip" help:"Gossip in plain text, without keys: whoever reaches the port can read and forge what hosts say."`
}

// Help shows examples below the flags.
func (*agentCmd) Help() string {
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
func (c *agentCmd) Run(ctx context.Context, line *globals, con *console, log *slog.Logger) error {
	address, err := netip.ParseAddr(c.Address)
	if err != nil {
		return &usageError{message: "--address: " + err.Error()}
	}
	if c.Name == "" {
		if c.Name, err = os.Hostname(); err != nil {
			return err
		}
	}
	cfg := agent.Config{Logger: log, Gossip: gossip.Config{
		Name: c.Name, Bind: netip.AddrPortFrom(address, uint16(c.Port)), Seeds: c.Seed, Fleet: c.Fleet, Logger: log,
	}}
	if cfg.Gossip.Keys, err = c.keys(); err != nil {
		return err
	}
	if c.KeyFile != "" {
		cfg.Keys = c.keys
	}
	if cfg.Exposed, err = c.exposed(); err != nil {
		return err
	}
	if c.ProxyAddress == "" {
		c.ProxyAddress = "127.0.0.1"
		if c.Listener {
			c.ProxyAddress = "0.0.0.0"
		}
	}
	if c.StateFile != "" {
		if cfg.Remember, err = filepath.Abs(c.StateFile); err != nil {
			return err
		}
	}
	if c.Services != "" {
		path, err := filepath.Abs(c.Services)
		if err != nil {
			return err
		}
		cfg.Sources = append(cfg.Sources, &files.Source{Path: path, Address: address, Logger: log})
	}
	if containers, err := c.source(address, log); err != nil {
		return err
	} else if containers != nil {
		cfg.Sources = append(cfg.Sources, containers)
	}
	if c.Systemd {
		cfg.Sources = append(cfg.Sources, &systemd.Source{Address: address, Logger: log})
	}
	if err := c.wrap(c.Name, cfg.Sources, log); err != nil {
		return err
	}
	redirected, dns, err := c.open(c, log)
	if err != nil {
		return err
	}
	beside := &beside{dns: dns, log: log}
	return beside.run(ctx, func(ctx context.Context) error { return c.live(ctx, line, cfg, redirected, con, log) })
}

// live is the life of the agent, once what it is made of is known.
func (c *agentCmd) live(ctx context.Context, line *globals, cfg agent.Config, redirected *mesh.Intercept, con *console, log *slog.Logger) error {
	file := readyFile{path: c.ReadyFile, log: log}
	ports, err := c.ports(c.ProxyAddress)
	if err != nil {
		return err
	}
	release, err := file.claim(ctx, append(ports, port{&cfg.XDS, "--xds", c.XDSAddress})...)
	if err != nil {
		return err
	}
	defer release()
	ready := agentReady{Host: c.Name, Address: cfg.Gossip.Bind.String(), XDS: cfg.XDS.Addr().String()}
	if cfg.Metrics = c.count(); c.listener != nil {
		ready.API = c.listener.Addr().String()
	}
	cfg.Ready = func(proxy proxy.Status) error {
		c.ready.Store(true)
		ready.Outbound, ready.Admin, ready.PID = listenerText(proxy.Outbound), listenerText(proxy.Admin), proxy.PID
		return file.write(ready)
	}
	switch c.Proxy {
	case "haproxy":
		if err := c.serve(&cfg, c.ProxyAddress, mesh.Port(c.OutboundPort), log); err != nil {
			return err
		}
	case "envoy":
		binary, err := proxy.FindEnvoy(c.Envoy)
		if err != nil {
			return err
		}
		cfg.Proxy = func(_ *catalog.Catalog, report func(proxy.Status)) (agent.Proxy, error) {
			return proxy.New(proxy.Config{
				Bootstrap: proxy.BootstrapConfig{
					Proxy: mesh.Proxy{Service: agent.HostProxy, Profile: mesh.HostProfile, Instance: mesh.FitInstanceID(c.Name), OutboundAddress: c.ProxyAddress, OutboundPort: mesh.Port(c.OutboundPort), Intercept: redirected},
					XDS:   []string{ready.XDS},
				},
				Envoy: binary, Stdout: con.out, Logger: log, Report: report,
			})
		}
	}
	bridge, err := c.bridge(line, &cfg, log)
	if err != nil {
		return err
	}
	if cfg.Gossip.Meta, err = (hosts.Meta{Version: version, Bridge: bridge != nil}).Encode(); err != nil {
		return err
	}
	a, err := agent.New(cfg)
	if err != nil {
		return wrongFlags(err)
	}
	tell, err := c.tell(a, c.Name, log)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return tell(ctx) })
	if bridge != nil {
		group.Go(func() error { return bridge.Export(ctx, a) })
	}
	return group.Wait()
}

// agentReady is what is in the ready file.
type agentReady struct {
	Host     string `json:"host"`
	Address  string `json:"address"`            // of gossip, host:port as all here
	XDS      string `json:"xds"`                // where the host's proxy is configured from
	API      string `json:"api,omitempty"`      // where it answers questions about the fleet
	Outbound string `json:"outbound,omitempty"` // where the proxy takes HTTP calls by host name
	Admin    string `json:"admin,omitempty"`    // Envoy's admin interface
	PID      int    `json:"pid,omitempty"`      // of the proxy
}

func (c *agentCmd) keys() (gossip.Keys, error) {
	switch {
	case c.KeyFile == "" && !c.InsecurePlain:
		return nil, &usageError{message: "--key-file is missing: hosts believe only who has the fleet's key (--insecure-gossip does without)"}
	case c.KeyFile == "":
		return nil, nil
	}
	body, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return nil, err
	}
	keys, err := gossip.ParseKeys(body)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "--key-file " + c.KeyFile, Err: err}
	}
	return keys, nil
}

// exposed reads what is exposed to the outside; nil: this host serves itself, with all.
func (c *agentCmd) exposed() (map[mesh.ServiceName]mesh.Port, error) {
	switch {
	case !c.Listener && len(c.Expose) == 0:
		return nil, nil
	case !c.Listener:
		return nil, &usageError{message: "--expose needs --listener"}
	case len(c.Expose) == 0:
		return nil, &usageError{message: "--listener exposes nothing: name services by --expose"}
	case c.Services != "" || c.Docker || c.Systemd:
		return nil, &usageError{message: "a host that listens to the outside runs no services: --listener excludes --services, --docker and --systemd"}
	}
	exposed, taken := map[mesh.ServiceName]mesh.Port{}, map[mesh.Port]string{}
	for _, one := range c.Expose {
		text, number, given := strings.Cut(one, "=")
		name := hosts.MeshName(text)
		if name == "" {
			return nil, &usageError{message: fmt.Sprintf("--expose %q: the name of a service is missing", one)}
		}
		if _, twice := exposed[name]; twice {
			return nil, &usageError{message: fmt.Sprintf("--expose %q: %s is exposed twice", one, name)}
		}
		exposed[name] = 0
		if !given {
			continue
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 {
			return nil, &usageError{message: fmt.Sprintf("--expose %q: %q is no port: use 1 to 65535", one, number)}
		}
		if other := taken[mesh.Port(port)]; other != "" {
			return nil, &usageError{message: fmt.Sprintf("--expose %q: port %d is %s's", one, port, other)}
		}
		exposed[name], taken[mesh.Port(port)] = mesh.Port(port), text
	}
	return exposed, nil
}
