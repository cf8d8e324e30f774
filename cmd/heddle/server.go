package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// serverCmd runs the registry, its APIs and the control plane.
type serverCmd struct {
	Listen            string   `default:"127.0.0.1:7080" env:"HEDDLE_LISTEN" placeholder:"HOST:PORT" help:"Where the REST API listens; port 0 takes a free one."`
	Host              []string `placeholder:"NAME" help:"A name that clients call the REST API by, beside localhost, IP addresses and the one in --listen; requests for others are refused (421). May be repeated."`
	XDSListen         string   `name:"xds-listen" default:"127.0.0.1:18000" env:"HEDDLE_XDS_LISTEN" placeholder:"HOST:PORT" help:"Where xDS and the gRPC API listen; port 0 takes a free one."`
	InsecurePlainText bool     `help:"Let --listen and --xds-listen be on addresses that other machines reach, although tokens can be read on the way. For networks that you trust."`
	ReadyFile         string   `type:"path" placeholder:"FILE" help:"Written once the server is ready, with its addresses as JSON; for scripts that start it on free ports."`
	AdminTokenFile    string   `type:"path" placeholder:"FILE" help:"Where the admin token is written at the first start (mode 0600), instead of printing it."`

	InitialAdminToken string `name:"initial-admin-token-file" type:"path" placeholder:"FILE" help:"File with the admin token that the first start is to make, of the form hdl_ID_SECRET with 12 and 64 hexadecimal digits, instead of one of its own: for platforms that keep secrets. Later starts need no such file, and warn when what it holds is not known."`

	identityFlags

	RequireReadToken bool `help:"Have reads of the REST and the gRPC API need a token, whichever, or a workload's certificate, as writes do, and have the web pages need a sign-in. Health, metrics and /docs stay open; for xDS see --require-identity."`

	OIDC oidcFlags `embed:"" prefix:"oidc-"`

	CanaryWait time.Duration `default:"2s" placeholder:"TIME" help:"How long a changed cluster, listener or route is tried by one sidecar before the others are sent it, unless it answers sooner, as it mostly does within milliseconds. 0: no trial."`

	MaxStreams int `default:"0" placeholder:"N" help:"How many xDS streams are served at most; proxies beyond that are told to try another server. 0: no limit."`

	CallReports string `enum:"on,off" default:"on" placeholder:"on|off" help:"Whether sidecars and gateways report the calls that they see (Envoy's access log service), for heddle drift and the topology. All servers of a mesh have to say the same."`

	Discovery string `type:"path" placeholder:"FILE" help:"File with the sources of virtual machines, such as Azure's by their tags (docs/azure.md). Of several servers one asks them; all have to have the same file. Default: none."`

	Pprof string `placeholder:"HOST:PORT" help:"Where Go's profiles are served, on a loopback address only and without any protection, for go tool pprof. Default: nowhere."`

	DataDir    string `default:"heddle-data" type:"path" placeholder:"DIR" help:"Where the embedded etcd keeps its data."`
	EtcdListen string `placeholder:"HOST:PORT" help:"Where the embedded etcd listens besides, for etcdctl, on a loopback address only and without any protection. Default: only on a socket in the data folder."`

	etcdFlags `embed:""`

	telemetryFlags
	tracingFlags

	AuthzListen     string     `placeholder:"HOST:PORT" help:"Where sidecars ask the AuthZ service (ext_authz over gRPC), if it is to run in this process. Default: it does not; see heddle authz."`
	AuthzHTTPListen string     `name:"authz-http-listen" placeholder:"HOST:PORT" help:"Where the AuthZ service's public keys are served. Default: nowhere."`
	TrustDomain     string     `default:"heddle.local" placeholder:"NAME" help:"Trust domain of the SPIFFE IDs: spiffe://NAME/service/…. It cannot be changed in a running mesh."`
	Authz           authzFlags `embed:"" prefix:"authz-"`
}

// Help shows examples below the flags.
func (*serverCmd) Help() string {
	return `The first start prints an admin token, once; heddle token create makes others.

Examples:

  heddle server
  heddle server --data-dir /var/lib/heddle --admin-token-file /etc/heddle/admin-token \
    --tls-listen 10.0.0.1:7443 --xds-tls-listen 10.0.0.1:18443 --require-identity --mtls strict --authz-listen 10.0.0.1:18001
  heddle server --tls-listen 10.0.0.1:7443 --oidc-issuer https://id.example.com --oidc-client-id heddle \
    --oidc-client-secret-file /etc/heddle/oidc-secret --oidc-admins mesh-admins
  heddle server --etcd-endpoints https://10.0.0.1:2379 --etcd-ca-file ca.pem --etcd-user heddle --etcd-password-file pw`
}

// Run serves until the context ends.
func (c *serverCmd) Run(ctx context.Context, con *cli.Console, logger *slog.Logger) (err error) {
	defer cli.AskedToEnd(ctx, &err)
	if err := c.check(); err != nil {
		return err
	}
	sources, err := c.sources()
	if err != nil {
		return err
	}
	if c.Pprof != "" {
		stop, err := serveProfiles(ctx, c.Pprof)
		if err != nil {
			return err
		}
		defer stop()
	}
	ready := cli.ReadyFile{Path: c.ReadyFile, Log: logger}
	var ports serverPorts
	release, err := ready.Claim(ctx, ports.of(c)...)
	if err != nil {
		return err
	}
	defer release()
	tracer, err := c.tracer(ctx, logger)
	if err != nil {
		return err
	}
	store, failed, closeStore, err := c.openStore(ctx, storeTracing(tracer), logger)
	if err != nil {
		return err
	}
	defer closeStore()
	authority, err := c.authority()
	if err != nil {
		return err
	}
	node, err := newServerNode(c, ports, store, authority, tracer, logger) //nolint:contextcheck // each call has a context of its own
	if err != nil {
		return err
	}
	if len(sources) > 0 {
		node.discovery = newDiscoveryNode(node, sources)
		node.restAPI.HandleSourceEvents(node.discovery.events())
		node.restAPI.TellConcerns(node.discovery.concerns.told)
	}
	if c.AuthzListen != "" {
		if node.authz, err = c.newAuthz(ctx, node, ports); err != nil {
			return err
		}
	}
	if c.InitialAdminToken != "" {
		err = adoptAdminToken(ctx, store, c.InitialAdminToken, logger)
	} else {
		err = announceAdminToken(ctx, con, store, c.AdminTokenFile, logger)
	}
	if err != nil {
		return err
	}
	return node.run(ctx, failed, func() error {
		at := node.addresses()
		logger.Info("ready", "rest", at["rest"], "ui", at["rest"]+"/ui/", "docs", at["rest"]+"/docs", "xds", at["xds"])
		if authority != nil {
			logger.Info("identities are given", "trustDomain", authority.TrustDomain().Name(), "rest", at["restTLS"], "xds", at["xdsTLS"], "root", authority.Pin())
		}
		return ready.Write(at)
	})
}

// wrongFlag is a value of a flag that cannot be.
func (*serverCmd) wrongFlag(format string, args ...any) error {
	return &cli.Hinted{Err: &cli.UsageError{Message: fmt.Sprintf(format, args...)}, Hint: "see: heddle server --help"}
}

// check finds flags that make no sense.
func (c *serverCmd) check() error {
	for _, one := range []struct{ flag, address string }{
		{"--listen", c.Listen}, {"--xds-listen", c.XDSListen}, {"--etcd-listen", c.EtcdListen}, {"--authz-listen", c.AuthzListen}, {"--authz-http-listen", c.AuthzHTTPListen},
		{"--tls-listen", c.TLSListen}, {"--xds-tls-listen", c.XDSTLSListen},
	} {
		if one.address == "" && one.flag != "--listen" && one.flag != "--xds-listen" {
			continue
		}
		_, port, err := net.SplitHostPort(one.address)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			return c.wrongFlag("%s %q is not HOST:PORT, such as 127.0.0.1:7080; the port is 0 to 65535", one.flag, one.address)
		}
	}
	if c.AuthzListen != "" {
		if err := c.Authz.check(c.identifiesAuthz()); err != nil {
			return err
		}
	} else if c.AuthzHTTPListen != "" {
		return c.wrongFlag("--authz-http-listen serves the keys of the AuthZ service: it needs --authz-listen")
	}
	for _, one := range []struct{ flag, address, secure string }{{"--listen", c.Listen, "--tls-listen"}, {"--xds-listen", c.XDSListen, "--xds-tls-listen"}} {
		if !cli.OnLoopback(one.address) && !strings.HasPrefix(one.address, "localhost:") && !c.InsecurePlainText {
			return c.wrongFlag("%s %q can be reached from other machines, and is plain text: whoever is on the way reads tokens, and changes what proxies are told. Give %s that address instead, or, on a network that you trust, add --insecure-plain-text", one.flag, one.address, one.secure)
		}
	}
	if len(c.OIDC.Readers) > 0 && c.OIDC.Issuer != "" && !c.RequireReadToken {
		return c.wrongFlag("--oidc-readers needs --require-read-token: without it everybody may read")
	}
	if err := c.OIDC.check(c.wrongFlag); err != nil {
		return err
	}
	switch {
	case c.InitialAdminToken != "" && c.AdminTokenFile != "":
		return c.wrongFlag("--initial-admin-token-file is read and --admin-token-file is written: give one of them")
	case c.CanaryWait < 0:
		return c.wrongFlag("--canary-wait %s is less than nothing; 0 is no trial", c.CanaryWait)
	case c.MaxStreams < 0:
		return c.wrongFlag("--max-streams %d is less than nothing; 0 is no limit", c.MaxStreams)
	case len(c.EtcdEndpoints) > 0 && c.EtcdListen != "":
		return c.wrongFlag("--etcd-listen is for the embedded etcd, and --etcd-endpoints is instead of it: give one of them")
	case c.EtcdListen != "" && !cli.OnLoopback(c.EtcdListen):
		return c.wrongFlag("--etcd-listen %q: whoever reaches it has full control of the mesh, so only a loopback address is taken, such as 127.0.0.1:2379; for other machines run an etcd cluster with TLS (--etcd-endpoints)", c.EtcdListen)
	case len(c.EtcdEndpoints) > 0 && c.TLSListen != "" && c.CAKey == "":
		return c.wrongFlag("--tls-listen with --etcd-endpoints needs --ca-key and --ca-cert: all servers on a cluster give identities of one authority")
	case len(c.EtcdEndpoints) > 0:
	case c.EtcdEndpoints != nil: // a script's empty variable must not begin a mesh of its own
		return c.wrongFlag("--etcd-endpoints is empty: name the cluster, or leave it out for the embedded etcd")
	case c.EtcdUser+c.EtcdPassword+c.EtcdCA+c.EtcdCert+c.EtcdKey != "":
		return c.wrongFlag("the --etcd-user, --etcd-…-file flags say how a cluster is reached: they need --etcd-endpoints")
	}
	if err := c.telemetryFlags.check(c.wrongFlag); err != nil {
		return err
	}
	if err := c.tracingFlags.check(c.wrongFlag); err != nil {
		return err
	}
	return c.checkIdentity()
}

// hosts gives the names that the REST API goes by.
func (c *serverCmd) hosts() []string {
	names := slices.Clone(c.Host)
	for _, address := range []string{c.Listen, c.TLSListen} {
		host, _, err := net.SplitHostPort(address)
		if _, isAddress := netip.ParseAddr(host); err == nil && isAddress != nil && host != "" {
			names = append(names, host)
		}
	}
	return names
}

// openStore opens the registry: in the given cluster, or in an etcd of our own.
// failed receives the reason if that one cannot go on.
func (c *serverCmd) openStore(ctx context.Context, followed registry.Tracing, logger *slog.Logger) (store *registry.Store, failed <-chan error, closeAll func(), err error) {
	if len(c.EtcdEndpoints) > 0 {
		store, err = c.open(ctx, followed, logger)
		if err != nil {
			return nil, nil, nil, err
		}
		return store, nil, func() { _ = store.Close() }, nil
	}
	etcd, err := registry.StartEmbedded(ctx, registry.EmbeddedConfig{DataDir: c.DataDir, Listen: c.EtcdListen, Logger: logger, Tracing: followed})
	if err != nil {
		return nil, nil, nil, err
	}
	store, err = etcd.Open(ctx)
	if err != nil {
		etcd.Close()
		return nil, nil, nil, err
	}
	logger.Info("embedded etcd started", "data", c.DataDir, "endpoint", etcd.Endpoint())
	return store, etcd.Failed(), func() { _ = store.Close(); etcd.Close() }, nil
}
