package main

import (
	"fmt"
	"strconv"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// operatorCommands are the operator, which runs if nothing else is named, and what
// it is installed by.
type operatorCommands struct {
	Run     operatorCmd        `cmd:"" default:"withargs" help:"Join Kubernetes clusters to the mesh: custom resources, pods, sidecars. The default."`
	Install operatorInstallCmd `cmd:"" help:"Print the manifests of a Heddle in Kubernetes."`
	Gateway operatorGatewayCmd `cmd:"" help:"Print the manifests of a Gateway's proxies (Gateway API)."`

	ReleaseFinalizers operatorFinalizersCmd `cmd:"" help:"Let go of a cluster's objects whose operator is gone for good, so that their deletions end."`
}

// Help shows examples below the commands.
func (operatorCommands) Help() string {
	return "Examples:\n\n  heddle operator --cluster prod --server https://heddle.example:7443 --token-file token\n  heddle operator install --dry-run --cluster prod | kubectl apply --server-side -f -"
}

type operatorInstallCmd struct {
	DryRun        bool   `help:"Print the manifests; to apply them is kubectl's work, so this has to be said."`
	Namespace     string `default:"${namespace}" placeholder:"NAME" help:"Where all is installed."`
	Image         string `default:"${image}" placeholder:"IMAGE" help:"Built with deploy/Dockerfile."`
	Cluster       string `required:"" placeholder:"NAME" help:"The cluster's name in the mesh, which no other has."`
	EtcdEndpoints string `placeholder:"URLS" help:"An etcd outside (https://HOST:PORT), between commas, for several servers. Default: one server with an etcd of its own."`
	Servers       int32  `placeholder:"N" help:"How many servers; default 1, or 3 with --etcd-endpoints."`
	Operators     int32  `default:"2" placeholder:"N" help:"How many operators."`
	APIPort       int32  `name:"api-port" default:"6443" placeholder:"PORT" help:"The API server's own port, behind its Service's 443: operators are let out to both."`
	FailurePolicy string `enum:"Fail,Ignore" default:"Fail" placeholder:"Fail|Ignore" help:"What becomes of pods that opted in while the webhook is down: they wait (Fail), or go without a sidecar (Ignore)."`
	Injector      bool   `default:"true" negatable:"" help:"Put sidecars into pods that ask for one; --no-injector for a mesh without."`
	Iptables      string `name:"intercept-iptables" enum:"default,nft,legacy" default:"default" placeholder:"KIND" help:"The kind of iptables in pods: default (whatever the image's is), nft or legacy, as the hosts' kernels can."`
	InterceptIPv6 bool   `name:"intercept-ipv6" default:"true" negatable:"" help:"Redirect IPv6 in pods too; --no-intercept-ipv6 where the hosts' kernels cannot. Callers then reach applications past the sidecar over IPv6, if these listen there."`
	Authz         bool   `help:"AuthZ services too; needs --etcd-endpoints."`
	Redis         string `placeholder:"HOST:PORT" help:"A Redis outside, which AuthZ services share tokens through. Default: one of their own."`
	Gateway       bool   `help:"A gateway too, named edge."`
}

// Help shows examples below the flags.
func (operatorInstallCmd) Help() string {
	return `The definitions of the custom resources come first. What is to be done next by hand goes to stderr, so that the manifests can be piped into kubectl.

Examples:

  heddle operator install --dry-run --image registry.example/heddle:1.0.0 --cluster prod | kubectl apply --server-side -f -
  heddle operator install --dry-run --cluster prod --etcd-endpoints https://etcd-0.example:2379,https://etcd-1.example:2379 --authz --redis redis.example:6379 --gateway`
}

// Run prints the manifests.
func (c *operatorInstallCmd) Run(con *cli.Console) error {
	if mesh.OfCluster(c.Cluster).Fault() != "" {
		return &cli.UsageError{Message: fmt.Sprintf("--cluster %q: its name in the mesh has to be a DNS label such as \"prod\"", c.Cluster)}
	}
	options := install.Options{
		Namespace: c.Namespace, Image: c.Image, Cluster: c.Cluster, EtcdEndpoints: c.EtcdEndpoints, Servers: c.Servers, Operators: c.Operators, APIPort: c.APIPort,
		FailurePolicy: install.FailurePolicy(c.FailurePolicy), Iptables: c.Iptables, InterceptIPv6: strconv.FormatBool(c.InterceptIPv6), NoInjector: !c.Injector, Authz: c.Authz, Redis: c.Redis, Gateway: c.Gateway,
	}
	if err := options.Validate(); err != nil {
		return &cli.UsageError{Message: err.Error()}
	}
	if !c.DryRun {
		return &cli.UsageError{Message: "manifests are printed here, and applied by kubectl: add --dry-run, and \"| kubectl apply --server-side -f -\" behind it; what to do then is said with them"}
	}
	text, err := install.Print(options)
	if err != nil {
		return err
	}
	if _, err = con.Out.Write(text); err != nil {
		return err
	}
	fmt.Fprintf(con.Err, "Apply this with: kubectl apply --server-side -f -\n%s", install.Steps(options))
	return nil
}
