package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/workload"
)

// proxyCmd runs Envoy beside one workload, or at the edge.
type proxyCmd struct {
	sidecarFlags
	gatewayFlags
	joinFlags
	attestFlags
	besideFlags

	Envoy         string `env:"HEDDLE_ENVOY" placeholder:"PATH" help:"The Envoy to run. Default: envoy on PATH, else .tools/envoy/envoy in or above the folder of this program or the current one."`
	Concurrency   int    `placeholder:"N" help:"Envoy's worker threads. Default: 2, or 1 on a machine with one CPU."`
	EnvoyLogLevel string `enum:"trace,debug,info,warning,error,critical,off" default:"warning" placeholder:"LEVEL" help:"What Envoy logs: trace, debug, info, warning, error, critical or off. Its lines become lines of this program's log."`

	AdvertiseAddress string            `at:"service" env:"HEDDLE_ADVERTISE_ADDRESS" placeholder:"IP" help:"Where callers reach the workload. Default: --inbound-address if it is a specific one, else this machine's address towards the control plane."`
	AdvertisePort    int               `at:"service" placeholder:"PORT" help:"The port there, if it is not the one that Envoy listens on."`
	Label            map[string]string `at:"service" aliases:"labels" placeholder:"KEY=VALUE" mapsep:"none" help:"A label of the instance, for subsets. May be repeated."`
	Weight           int               `at:"service" placeholder:"N" help:"The instance's share of the traffic beside the others; default 1."`
	TTL              time.Duration     `at:"service" name:"ttl" default:"10s" help:"How long the registration lives without being renewed: how soon callers lose an instance whose machine is gone."`

	NoRegister   bool          `at:"service" help:"Somebody else registers the instance, such as the Kubernetes operator: ready as soon as Envoy serves what the control plane sent, without waiting for the application."`
	AppReady     string        `at:"service" placeholder:"CHECK" help:"What says that the application is ready: http://HOST:PORT/PATH, tcp://HOST:PORT, or none. Default: once, that it takes connections on its port."`
	DrainTimeout time.Duration `default:"10s" help:"Longest wait for active requests at the end. 0: none, but callers still get a second to hear of it."`
	ReadyFile    string        `type:"path" placeholder:"FILE" help:"Written once callers find the instance, with its addresses as JSON; removed at the end."`
}

// Help shows examples below the flags.
func (*proxyCmd) Help() string {
	return `Starts Envoy, waits until it and the application can serve, registers the instance and renews it. Envoy is started again when it dies. SIGTERM or Ctrl-C drains: callers leave first, then Envoy stops; a second one hurries.

With --gateway it runs Envoy at the edge, which serves routes (heddle get routes) to the outside. It is not registered, and takes the flags of gateways instead of those of workloads. A renewed certificate is served as soon as its files change.

Examples:
  heddle proxy --service orders --instance orders-1 --app-port 8080
  heddle proxy --service web                                        a workload that only calls
  heddle proxy --service web --app-port 8080 --intercept            the application calls http://orders.mesh (heddle intercept)
  heddle proxy --gateway edge --http-port 80 --https-port 443 --tls-cert edge.pem --tls-key edge.key
  heddle proxy --service orders --app-port 8080 --advertise-address 10.0.0.7 --label version=v2 \
    --server http://10.0.0.1:7080 --xds 10.0.0.1:18000 --token-file /etc/heddle/orders-token
  heddle proxy --service orders --app-port 8080 --identity-dir /var/lib/heddle/orders --join-token-file orders.join \
    --server https://10.0.0.1:7443 --xds 10.0.0.1:18443
  heddle proxy --gateway edge --identity-dir /var/lib/heddle/edge --join-token-file edge.join \
    --server https://10.0.0.1:7443 --xds 10.0.0.1:18443`
}

// Run runs the sidecar until a signal ends it.
func (c *proxyCmd) Run(ctx context.Context, parsed *kong.Context, line *cli.Globals, con *cli.Console, api *client.Client, log *slog.Logger) error {
	beside, err := c.listen(c.Intercept, c.AppAddress, log)
	if err != nil {
		return err
	}
	return beside.run(ctx, func(ctx context.Context) error { return c.sidecar(ctx, parsed, line, con, api, beside, log) })
}

// sidecar is the life of Envoy and of what speaks for it.
func (c *proxyCmd) sidecar(ctx context.Context, parsed *kong.Context, line *cli.Globals, con *cli.Console, api *client.Client, beside *beside, log *slog.Logger) error {
	if c.AttestURL != "" { // the platform names it, as long as it likes
		c.Instance = string(mesh.FitInstanceID(c.Instance))
	}
	config, err := c.bootstrap(parsed)
	if err != nil {
		return err
	}
	if err := c.AnswersComeBack(ctx, config.Proxy.AppPort); err != nil {
		return err
	}
	config, certificates, err := c.gatewayFlags.config(config)
	if err != nil {
		return err
	}
	binary, err := proxy.FindEnvoy(c.Envoy)
	if err != nil {
		return err
	}
	check, err := proxy.ParseAppCheck(c.AppReady, config.Proxy)
	if err != nil {
		return cli.WrongFlags(err)
	}
	file := cli.ReadyFile{Path: c.ReadyFile, Log: log}
	release, err := file.Claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	report := func(status proxy.Status) {
		if err := file.Write(readyFrom(status)); err != nil {
			log.Error("the ready file cannot be written", "error", err)
		}
	}
	own, err := c.identify(ctx, line, &config, log)
	if err != nil && ctx.Err() != nil {
		return nil // it was asked to end before it had an identity
	}
	if err != nil {
		return err
	}
	if own != nil {
		// The certificate stands for the instance's registration, unless a token does.
		token, err := line.ReadToken()
		if err != nil {
			return err
		}
		if api, err = overTLS(line.Server, token, own.Transport()); err != nil {
			return err
		}
		defer api.Close()
		defer keepIdentity(ctx, own)()
		if c.pushes() {
			stop, err := deliverTokens(ctx, own, line.Server, token, log)
			if err != nil {
				return err
			}
			defer stop()
		}
	}
	hurry, forget := secondSignal()
	defer forget()
	// A drain timeout of 0 means none, not the default; negative is a fault.
	drain := c.DrainTimeout
	if drain == 0 {
		drain = time.Nanosecond
	}
	runner, err := proxy.New(proxy.Config{
		Bootstrap: config, Registrar: api, NoRegister: c.NoRegister,
		Certificates: certificates,
		Envoy:        binary, Concurrency: c.Concurrency, EnvoyLogLevel: c.EnvoyLogLevel,
		AdvertiseAddress: c.AdvertiseAddress, AdvertisePort: mesh.Port(c.AdvertisePort),
		Labels: c.Label, Weight: c.Weight, TTL: c.TTL, AppReady: check,
		DrainTimeout: drain, Propagation: c.propagation(), Report: report, Hurry: hurry, Stdout: con.Out, Logger: log,
	})
	if err != nil {
		return cli.WrongFlags(c.named(err))
	}
	beside.runner.Store(runner)
	return c.named(runner.Run(ctx))
}

// identify gives the proxy the identity that was asked for, or nil.
func (c *proxyCmd) identify(ctx context.Context, line *cli.Globals, config *proxy.BootstrapConfig, log *slog.Logger) (*workload.Identity, error) {
	of := mesh.Identity{Kind: mesh.ServiceIdentity, Name: config.Proxy.Service}
	if c.Gateway != "" {
		of.Kind = mesh.GatewayIdentity
	}
	by, err := c.attestor(of, config.Proxy.Instance)
	if err != nil {
		return nil, err
	}
	own, err := c.openBy(ctx, line, of, by, log)
	if err != nil || own == nil {
		return nil, err
	}
	config.Identity, err = envoyIdentity(own)
	return own, err
}

// keepIdentity renews an identity until stop is called: after the end of ctx, for
// the instance is deregistered with it.
func keepIdentity(ctx context.Context, own *workload.Identity) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var renewing sync.WaitGroup
	renewing.Go(func() { own.Run(ctx) })
	return func() {
		cancel()
		renewing.Wait()
	}
}

// secondSignal gives a channel that is closed at the second of the ending signals
// from now on. The first ends the command's context.
func secondSignal() (second <-chan struct{}, forget func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, cli.Endings()...)
	closed, done := make(chan struct{}), make(chan struct{})
	var counting sync.WaitGroup
	counting.Go(func() {
		for range 2 {
			select {
			case <-signals:
			case <-done:
				return
			}
		}
		close(closed)
	})
	return closed, func() {
		signal.Stop(signals)
		close(done)
		counting.Wait()
	}
}

// sidecarReady is what is in the ready file.
type sidecarReady struct {
	Service  mesh.ServiceName `json:"service"`
	Instance mesh.InstanceID  `json:"instance"`
	Epoch    string           `json:"epoch"`           // of the registration; "" when the workload only calls
	Admin    string           `json:"admin"`           // host:port, as all addresses here
	Inbound  string           `json:"inbound"`         // "" when the workload only calls
	Outbound string           `json:"outbound"`        // "" when there is no listener for HTTP calls
	HTTP     string           `json:"http,omitempty"`  // of a gateway
	HTTPS    string           `json:"https,omitempty"` // of a gateway
	PID      int              `json:"pid"`             // of Envoy
}

// readyFrom says where a sidecar that serves is reached.
func readyFrom(status proxy.Status) sidecarReady {
	return sidecarReady{
		Service: status.Instance.Service, Instance: status.Instance.ID, Epoch: status.Epoch,
		Admin: cli.AddressText(status.Admin), Inbound: cli.AddressText(status.Inbound), Outbound: cli.AddressText(status.Outbound),
		HTTP: cli.AddressText(status.HTTP), HTTPS: cli.AddressText(status.HTTPS), PID: status.PID,
	}
}
