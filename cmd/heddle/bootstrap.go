package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/cmd/internal/interceptcli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// bootstrapCmd prints the configuration that a sidecar's Envoy, or a gRPC
// library, starts from, or that of a machine.
type bootstrapCmd struct {
	Proxyless   bool   `help:"Print what a gRPC library that speaks xDS starts from (the file that GRPC_XDS_BOOTSTRAP names), for a client without an Envoy."`
	IdentityDir string `type:"path" placeholder:"DIR" help:"Have the control plane reached over TLS, with the identity that heddle identity keeps in this folder."`
	sidecarFlags
	cloudInitFlags
}

// Help shows examples below the flags.
func (*bootstrapCmd) Help() string {
	return `For an Envoy that something else than heddle proxy runs. Whoever runs it also registers the instance (heddle register --keep). With --identity-dir, Envoy has to run in that folder: what the control plane sends names files there (in another folder, a link of the name identity to that one does it too). With --proxyless it is for a gRPC library in the application itself; the flags about Envoy are refused then.

Examples:
  heddle bootstrap --service orders --instance orders-1 --app-port 8080 > bootstrap.json
  envoy -c bootstrap.json --disable-hot-restart
  heddle bootstrap --service web --xds 10.0.0.1:18000,10.0.0.2:18000 --admin-port 9901
  heddle bootstrap --service web --xds 10.0.0.1:18443 --identity-dir /var/lib/heddle/web > bootstrap.json
  cd /var/lib/heddle/web && envoy -c ~/bootstrap.json --disable-hot-restart
  heddle bootstrap --proxyless --service web > grpc.json
  GRPC_XDS_BOOTSTRAP=grpc.json ./web                                web dials xds:///orders

With --cloud-init it prints what a virtual machine of any cloud takes as its user data (custom data in Azure): it installs the programs once their sums are right, and systemd runs them (docs/operations.md). Everything else on the line is about that machine.

  heddle bootstrap --cloud-init --role server --discovery discovery.yaml \
    --heddle-url https://files.example.com/heddle --heddle-sha256 "$heddle_sum" > server.yaml
  heddle bootstrap --cloud-init --role gateway --gateway edge "--proxy-flags=--http-port 80" \
    --key-vault https://mesh.vault.azure.net --join-secret join-edge --control-plane-url https://10.0.0.4:7443 --control-plane-xds 10.0.0.4:18443 \
    --heddle-url https://files.example.com/heddle --heddle-sha256 "$heddle_sum" --envoy-url https://files.example.com/envoy --envoy-sha256 "$envoy_sum" > gateway.yaml
  heddle bootstrap --cloud-init --role backend --service orders --app-port 8080 --app-script app.sh --join-token-file orders.join \
    --control-plane-url https://10.0.0.4:7443 --control-plane-xds 10.0.0.4:18443 \
    --heddle-url https://files.example.com/heddle --heddle-sha256 "$heddle_sum" --envoy-url https://files.example.com/envoy --envoy-sha256 "$envoy_sum" > orders.yaml
  heddle bootstrap --cloud-init --role backend --no-sidecar --app-script app.sh > legacy.yaml`
}

// Run prints the bootstrap.
func (c *bootstrapCmd) Run(ctx context.Context, parsed *kong.Context, con *cli.Console) error {
	if err := c.checkCloudInit(parsed); err != nil {
		return err
	}
	if c.CloudInit {
		return c.cloudConfig(parsed, con)
	}
	if c.Proxyless {
		if err := envoyFlags(parsed); err != nil {
			return err
		}
	}
	if c.Service == "" && !given(parsed, "service") {
		return cli.UsageOf(parsed, "missing flags: --service=NAME")
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	if c.IdentityDir != "" {
		own, err := workload.Open(ctx, workload.Config{Dir: c.IdentityDir, Identity: mesh.Identity{Kind: mesh.ServiceIdentity, Name: config.Proxy.Service}})
		if err != nil {
			return err
		}
		if config.Identity, err = envoyIdentity(own); err != nil {
			return err
		}
	}
	var data []byte
	if c.Proxyless {
		data, err = proxy.ProxylessBootstrap(proxy.ProxylessConfig{
			Service: config.Proxy.Service, Instance: config.Proxy.Instance, Locality: config.Locality, XDS: config.XDS, Identity: config.Identity,
		})
	} else {
		data, err = proxy.Bootstrap(config)
	}
	if err != nil {
		return cli.WrongFlags(err)
	}
	if config.Identity != nil && !c.Proxyless {
		fmt.Fprintf(con.Err, "run Envoy in the folder %s: what the control plane sends names files there\n", present.Safe(config.Identity.Dir))
	}
	_, err = con.Out.Write(data)
	return err
}

// envoyFlags refuses the flags that say something of an Envoy.
func envoyFlags(parsed *kong.Context) error {
	var given []string
	for _, step := range parsed.Path {
		if step.Flag != nil && step.Flag.Tag.Get("of") == "envoy" {
			given = append(given, "--"+step.Flag.Name)
		}
	}
	if len(given) == 0 {
		return nil
	}
	return &cli.UsageError{Message: fmt.Sprintf("%s: for an Envoy, and with --proxyless there is none: leave it out", strings.Join(given, ", "))}
}

// sidecarFlags are what heddle bootstrap and heddle proxy share: who the
// sidecar is, where its control plane is, and where it listens. What only an
// Envoy has is marked of:"envoy", and what a gateway has not, at:"service".
type sidecarFlags struct {
	Service  string   `at:"service" env:"HEDDLE_SERVICE" complete:"services" placeholder:"NAME" help:"The service whose workload this is." empty:"fine"`
	Instance string   `env:"HEDDLE_INSTANCE" placeholder:"ID" help:"Unique among the instances of the service. Default: this machine's host name."`
	Region   string   `env:"HEDDLE_REGION" placeholder:"NAME" help:"Where the workload runs, for locality weights." empty:"fine"`
	Zone     string   `env:"HEDDLE_ZONE" placeholder:"NAME" help:"Where in the region." empty:"fine"`
	XDS      []string `name:"xds" env:"HEDDLE_XDS" default:"127.0.0.1:18000" placeholder:"HOST:PORT" help:"The control planes; several are tried by turns."`
	XDSMode  string   `of:"envoy" name:"xds-mode" enum:"delta,sotw" default:"delta" help:"Variant of the xDS protocol: delta (what changed) or sotw (state of the world)."`

	InboundAddress  string         `of:"envoy" at:"service" placeholder:"IP" help:"Where Envoy takes calls to the service. Default: all addresses."`
	InboundPort     int            `of:"envoy" at:"service" placeholder:"PORT" help:"The port there. Default: the service's port, or 15006 with --intercept."`
	AppAddress      string         `of:"envoy" at:"service" placeholder:"IP" help:"Where the application listens. Default: 127.0.0.1."`
	AppPort         *int           `of:"envoy" at:"service" placeholder:"PORT" help:"The port there. Without it the workload only makes calls: it takes none and is not registered."`
	OutboundAddress string         `of:"envoy" at:"service" placeholder:"IP" help:"Where Envoy takes the application's calls. Default: 127.0.0.1."`
	OutboundPort    int            `of:"envoy" at:"service" placeholder:"PORT" help:"The port there for HTTP and gRPC. Default: 15001."`
	DependencyPort  map[string]int `of:"envoy" at:"service" placeholder:"NAME=PORT" mapsep:"none" help:"The port for a dependency that has a listener of its own (TCP), instead of the one it declares. May be repeated."`

	interceptcli.Flags
	interceptcli.ModeFlags
	deliveryFlags

	AdminPort      int `of:"envoy" placeholder:"PORT" help:"The port of Envoy's admin interface on loopback. Default: a free one."`
	MaxConnections int `of:"envoy" default:"50000" placeholder:"N" help:"Most connections that Envoy takes at once."`
}

// config turns the flags into what the proxy package takes.
func (f *sidecarFlags) config() (proxy.BootstrapConfig, error) {
	instance := f.Instance
	if instance == "" {
		name, err := proxy.DefaultInstance()
		if err != nil {
			return proxy.BootstrapConfig{}, err
		}
		instance = string(name)
	}
	var appPort mesh.Port
	if f.AppPort != nil {
		if appPort = mesh.Port(*f.AppPort); appPort == 0 {
			return proxy.BootstrapConfig{}, &cli.UsageError{Message: "--app-port 0 is no port: name the application's, from 1 to 65535, or leave the flag out for a workload that only makes calls"}
		}
	}
	ports := map[mesh.ServiceName]mesh.Port{}
	for name, port := range f.DependencyPort {
		ports[mesh.ServiceName(name)] = mesh.Port(port)
	}
	intercept, err := f.Redirected()
	if err == nil {
		err = f.Apply(intercept)
	}
	if err != nil {
		return proxy.BootstrapConfig{}, err
	}
	inboundPort := mesh.Port(f.InboundPort)
	if intercept != nil && appPort != 0 && inboundPort == 0 {
		inboundPort = mesh.DefaultInterceptInboundPort
	}
	return proxy.BootstrapConfig{
		Proxy: mesh.Proxy{
			Service: mesh.ServiceName(f.Service), Instance: mesh.InstanceID(instance),
			InboundAddress: f.InboundAddress, InboundPort: inboundPort,
			AppAddress: f.AppAddress, AppPort: appPort,
			OutboundAddress: f.OutboundAddress, OutboundPort: mesh.Port(f.OutboundPort),
			DependencyPorts: ports, TokenDelivery: f.delivery(), Intercept: intercept,
		},
		Locality: mesh.Locality{Region: f.Region, Zone: f.Zone},
		XDS:      f.XDS, XDSMode: proxy.XDSMode(f.XDSMode),
		AdminPort: mesh.Port(f.AdminPort), MaxConnections: f.MaxConnections,
	}, nil
}
