package agentcli

import (
	"io"

	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// proxyFlags say what serves the services of the fleet on this host, and where.
type proxyFlags struct {
	Proxy        string `enum:"envoy,haproxy,none" default:"envoy" help:"What serves the services of the fleet on this host: envoy, haproxy, or none."`
	ProxyAddress string `placeholder:"IP" help:"Where the proxy listens on this host. Default: 127.0.0.1; with --listener all addresses."`
	Envoy        string `env:"HEDDLE_ENVOY" placeholder:"PATH" help:"The Envoy to run. Default: envoy on PATH, else .tools/envoy/envoy in or above the folder of this program or the current one."`
	OutboundPort int    `placeholder:"PORT" help:"Where the proxy takes HTTP calls to all services by host name. Default: 15001."`
	XDSAddress   string `name:"xds" default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where the agent configures Envoys; only on addresses that the host alone reaches."`
	haproxyFlags
}

// newProxy makes what serves on the host.
type newProxy = func(fleet *catalog.Catalog, report func(proxy.Status), wrong func([]proxy.Problem)) (agent.Proxy, error)

// listenAddress is where the proxy listens.
func (c *proxyFlags) listenAddress(toOutside bool) string {
	switch {
	case c.ProxyAddress != "":
		return c.ProxyAddress
	case toOutside:
		return "0.0.0.0"
	}
	return mesh.DefaultLoopback
}

// hostProxy gives what --proxy asks for; nil: nothing.
func (c *proxyFlags) hostProxy(cfg *agent.Config, redirected *mesh.Intercept, out io.Writer) (newProxy, error) {
	switch c.Proxy {
	case "envoy":
		return c.byEnvoy(cfg, redirected, out)
	case "haproxy":
		return c.byHAProxy(c.ProxyAddress, mesh.Port(c.OutboundPort), cfg.Logger)
	}
	return nil, nil //nolint:nilnil // none is no error
}

// byEnvoy has Envoy serve the host, configured by the agent's xDS.
func (c *proxyFlags) byEnvoy(cfg *agent.Config, redirected *mesh.Intercept, out io.Writer) (newProxy, error) {
	binary, err := proxy.FindEnvoy(c.Envoy)
	if err != nil {
		return nil, err
	}
	bootstrap := proxy.BootstrapConfig{
		Proxy: mesh.Proxy{
			Service: agent.HostProxy, Profile: mesh.HostProfile, Instance: mesh.FitInstanceID(cfg.Gossip.Name),
			OutboundAddress: c.ProxyAddress, OutboundPort: mesh.Port(c.OutboundPort), Intercept: redirected,
		},
		XDS: []string{cfg.XDS.Addr().String()},
	}
	return func(_ *catalog.Catalog, report func(proxy.Status), wrong func([]proxy.Problem)) (agent.Proxy, error) {
		return proxy.New(proxy.Config{Bootstrap: bootstrap, Envoy: binary, Stdout: out, Logger: cfg.Logger, Report: report, Problems: wrong})
	}, nil
}
