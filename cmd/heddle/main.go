package main

import (
	"context"
	"io"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/agentcli"
	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/cmd/internal/completion"
	"github.com/heddle-mesh/heddle/cmd/internal/interceptcli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
)

// commands is the whole command line.
type commands struct {
	cli.Globals

	Server    serverCmd            `cmd:"" group:"running" help:"Run the registry, its APIs and the control plane."`
	Authz     authzCmd             `cmd:"" group:"running" help:"Run the AuthZ service, which gives callers signed tokens, apart from the server."`
	Proxy     proxyCmd             `cmd:"" group:"running" help:"Run Envoy beside one workload: register, renew, drain, restart."`
	Agent     agentcli.Agent       `cmd:"" group:"running" help:"Run one host of a mesh that needs no server: gossip, discovery, and the host's Envoy or HAProxy."`
	Bootstrap bootstrapCmd         `cmd:"" group:"running" help:"Print the configuration that a sidecar's Envoy, or a gRPC library, starts from."`
	Identity  identityCmd          `cmd:"" group:"running" help:"Keep the certificate of a workload whose Envoy or gRPC library something else runs."`
	Intercept interceptcli.Command `cmd:"" group:"running" help:"Redirect the connections of this machine's applications to its proxy, show the rules and take them away."`
	Operator  operatorCommands     `cmd:"" group:"running" help:"Join Kubernetes clusters to the mesh: custom resources and pods."`
	Demo      demoCommands         `cmd:"" group:"running" help:"Run a sample mesh, or a fleet of hosts, on this machine, with real Envoys."`

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
	Hosts       agentcli.Hosts `cmd:"" group:"seeing" help:"Show a fleet of hosts without a server as one of its agents sees it, or drain a copy."`
	Watch       watchCmd       `cmd:"" group:"seeing" help:"Follow the changes of the mesh."`
	Topology    topologyCmd    `cmd:"" group:"seeing" help:"Show who calls whom, declared and seen, as a table or a drawing."`

	Token      tokenCmd           `cmd:"" group:"other" help:"Create, list and revoke tokens, to write and to join."`
	Revocation revocationCmd      `cmd:"" group:"other" help:"Revoke certificates of services, gateways and workloads."`
	Keys       keysCmd            `cmd:"" group:"other" help:"Show, rotate and revoke the keys that tokens of the mesh are signed with."`
	Completion completionCmd      `cmd:"" group:"other" help:"Print a script that completes heddle's commands in a shell."`
	Version    cli.VersionCommand `cmd:"" group:"other" help:"Print the version."`

	Complete completion.Complete `cmd:"" name:"__complete" hidden:""`
}

func main() { cli.Main(run) }

// run is main without the process around it. What a command's Run method may
// ask for, by type, is what is bound here: context.Context (ends on SIGINT,
// SIGTERM and SIGHUP), *cli.Globals, *cli.Console, *slog.Logger, and *client.Client, which is made
// when it is asked for.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	con := cli.NewConsole("heddle", stdin, stdout, stderr)
	var line commands
	parser, err := newParser(&line, con)
	if err != nil {
		return con.Fail(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, code := cli.Parse(parser, args, con)
	if parsed == nil {
		return code
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&line.Globals, con, line.Logger(stderr), completion.Values(liveNames(ctx, &line.Globals).values))
	var api *client.Client
	defer func() {
		if api != nil {
			api.Close()
		}
	}()
	err = parsed.BindSingletonProvider(func() (*client.Client, error) {
		var err error
		api, err = line.Connect()
		return api, err
	})
	if err != nil {
		return con.Fail(err)
	}
	err = parsed.Run()
	if api != nil { // the advice is on what a server answered
		err = advise(&line.Globals, err)
	}
	return con.Fail(err)
}

// presets are the defaults of flags that other parts count on, as the flags name them.
func presets() kong.Vars {
	return kong.Vars{
		"namespace":            install.DefaultNamespace,
		"image":                install.DefaultImage,
		"webhookConfiguration": certificates.DefaultConfiguration,
	}
}

// newParser builds the command line's grammar.
func newParser(line *commands, con *cli.Console) (*kong.Kong, error) {
	return cli.NewParser(line, con, "Heddle is a service mesh: owners declare what their service calls, and everything else follows.",
		presets(), interceptcli.Presets(),
		kong.ExplicitGroups([]kong.Group{
			{Key: "running", Title: "Run Heddle"},
			{Key: "objects", Title: "What the mesh holds"},
			{Key: "seeing", Title: "What the mesh does"},
			{Key: "other", Title: "Others"},
			{Key: "globals", Title: "Flags of every command"},
		}),
	)
}
