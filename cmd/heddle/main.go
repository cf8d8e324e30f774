package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// cli is the whole command line.
type cli struct {
	globals

	Server    serverCmd        `cmd:"" group:"running" help:"Run the registry, its APIs and the control plane."`
	Authz     authzCmd         `cmd:"" group:"running" help:"Run the AuthZ service, which gives callers signed tokens, apart from the server."`
	Proxy     proxyCmd         `cmd:"" group:"running" help:"Run Envoy beside one workload: register, renew, drain, restart."`
	Agent     agentCmd         `cmd:"" group:"running" help:"Run one host of a mesh that needs no server: gossip, discovery, and the host's Envoy or HAProxy."`
	Bootstrap bootstrapCmd     `cmd:"" group:"running" help:"Print the configuration that a sidecar's Envoy, or a gRPC library, starts from."`
	Identity  identityCmd      `cmd:"" group:"running" help:"Keep the certificate of a workload whose Envoy or gRPC library something else runs."`
	Intercept interceptCmd     `cmd:"" group:"running" help:"Redirect the connections of this machine's applications to its proxy, show the rules and take them away."`
	Operator  operatorCommands `cmd:"" group:"running" help:"Join Kubernetes clusters to the mesh: custom resources and pods."`
	Demo      demoCommands     `cmd:"" group:"running" help:"Run a sample mesh, or a fleet of hosts, on this machine, with real Envoys."`

	Apply      applyCmd      `cmd:"" group:"objects" help:"Create or change the objects in files."`
	Diff       diffCmd       `cmd:"" group:"objects" help:"Show what files would change in the configuration of sidecars."`
	Get        getCmd        `cmd:"" group:"objects" help:"Show services, instances, routes, upstreams, virtual machines or the runtime layer."`
	Delete     deleteCmd     `cmd:"" group:"objects" help:"Delete services, routes or instances."`
	Lint       lintCmd       `cmd:"" group:"objects" help:"Check files without a server."`
	Register   registerCmd   `cmd:"" group:"objects" help:"Register one instance of a service, for as long as its lease."`
	Deregister deregisterCmd `cmd:"" group:"objects" help:"Remove an instance of a service, or its stale ones."`
	Runtime    runtimeCmd    `cmd:"" group:"objects" help:"Show or change the runtime layer of all proxies."`
	History    historyCmd    `cmd:"" group:"objects" help:"Show what a service, a route or the runtime layer was, and who changed it."`
	Rollback   rollbackCmd   `cmd:"" group:"objects" help:"Write an earlier state of a service, a route or the runtime layer anew."`
	Release    releaseCmd    `cmd:"" group:"objects" help:"Take a service or a route out of its keeper's hands."`
	Approve    approveCmd    `cmd:"" group:"objects" help:"Let a caller into a service that takes approved callers only, or list who waits."`

	Explain     explainCmd     `cmd:"" group:"seeing" help:"Say why a service can call another, or cannot."`
	Discovery   discoveryCmd   `cmd:"" group:"seeing" help:"Show how the sources of virtual machines do, or forget one."`
	Drift       driftCmd       `cmd:"" group:"seeing" help:"Show where declarations and the calls that sidecars saw do not agree."`
	Import      importCmd      `cmd:"" group:"seeing" help:"Propose declarations from the calls that were attempted."`
	Impact      impactCmd      `cmd:"" group:"seeing" help:"Show who would feel a change of a service, or its deletion."`
	Status      statusCmd      `cmd:"" group:"seeing" help:"Show the health of the server, of each proxy, and what is wrong."`
	ProxyConfig proxyConfigCmd `cmd:"" group:"seeing" help:"Show what one proxy has of its configuration, and how it differs from the newest."`
	Audit       auditCmd       `cmd:"" group:"seeing" help:"Show who changed what, and who was refused to."`
	Hosts       hostsCmd       `cmd:"" group:"seeing" help:"Show a fleet of hosts without a server as one of its agents sees it, or drain a copy."`
	Watch       watchCmd       `cmd:"" group:"seeing" help:"Follow the changes of the mesh."`
	Topology    topologyCmd    `cmd:"" group:"seeing" help:"Show who calls whom, declared and seen, as a table or a drawing."`

	Token      tokenCmd      `cmd:"" group:"other" help:"Create, list and revoke tokens, to write and to join."`
	Revocation revocationCmd `cmd:"" group:"other" help:"Revoke certificates of services, gateways and workloads."`
	Keys       keysCmd       `cmd:"" group:"other" help:"Show, rotate and revoke the keys that tokens of the mesh are signed with."`
	Completion completionCmd `cmd:"" group:"other" help:"Print a script that completes heddle's commands in a shell."`
	Version    versionCmd    `cmd:"" group:"other" help:"Print the version."`

	Complete completeCmd `cmd:"" name:"__complete" hidden:""`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// endings are the signals that end a command in order: Ctrl-C, SIGTERM, and that
// the terminal is closed, unless whoever started heddle has it ignored (nohup).
func endings() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// run is main without the process around it. What a command's Run method may
// ask for, by type, is what is bound here: context.Context (ends on SIGINT,
// SIGTERM and SIGHUP), *globals, *console, *slog.Logger, and *client.Client, which is made
// when it is asked for.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	con := newConsole(stdin, stdout, stderr)
	var line cli
	parser, err := newParser(&line, con)
	if err != nil {
		return con.fail(err)
	}
	args = asMeant(args)
	exited := -1 // --help prints and exits from within Parse
	parser.Exit = func(code int) { exited = max(exited, code) }
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		return con.fail(usage(err))
	}
	if err := emptyFlags(parsed); err != nil {
		return con.fail(err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&line.globals, con, line.logger(stderr), line.liveNames(ctx))
	var api *client.Client
	defer func() {
		if api != nil {
			api.Close()
		}
	}()
	err = parsed.BindSingletonProvider(func() (*client.Client, error) {
		var err error
		api, err = line.connect()
		return api, err
	})
	if err != nil {
		return con.fail(err)
	}
	err = parsed.Run()
	if api != nil { // the advice is on what a server answered
		err = line.advise(err)
	}
	return con.fail(err)
}

// asMeant understands what people type out of habit: nothing, help and --version.
func asMeant(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// presets are the defaults of flags that other parts count on, as the flags name them.
func presets() kong.Vars {
	return kong.Vars{
		"proxyUID":             strconv.Itoa(intercept.DefaultProxyUser),
		"interceptPort":        strconv.Itoa(int(mesh.DefaultInterceptPort)),
		"interceptInboundPort": strconv.Itoa(int(mesh.DefaultInterceptInboundPort)),
		"dnsPort":              strconv.Itoa(int(mesh.DefaultDNSPort)),
		"namespace":            install.DefaultNamespace,
		"image":                install.DefaultImage,
		"webhookConfiguration": certificates.DefaultConfiguration,
	}
}

// newParser builds the command line's grammar.
func newParser(line *cli, con *console) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("heddle"),
		kong.Description("Heddle is a service mesh: owners declare what their service calls, and everything else follows."),
		kong.Writers(con.out, con.err),
		presets(),
		kong.NamedMapper("path", kong.MapperFunc(pathUnlessEmpty)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, NoExpandSubcommands: true}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "running", Title: "Run Heddle"},
			{Key: "objects", Title: "What the mesh holds"},
			{Key: "seeing", Title: "What the mesh does"},
			{Key: "other", Title: "Others"},
			{Key: "globals", Title: "Flags of every command"},
		}),
	)
}
