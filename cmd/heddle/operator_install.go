package main

import (
	"fmt"

	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// operatorCommands are the operator, which runs if nothing else is named, and what
// it is installed by.
type operatorCommands struct {
	Run     operatorCmd        `cmd:"" default:"withargs" help:"Join Kubernetes clusters to the mesh: custom resources, pods, sidecars. The default."`
	Install operatorInstallCmd `cmd:"" help:"Print the manifests of a Heddle in Kubernetes."`
}

// Help shows examples below the commands.
func (operatorCommands) Help() string {
	return "Examples:\n\n  heddle operator --cluster prod --server https://heddle.example:7443 --token-file token\n  heddle operator install --dry-run --cluster prod | kubectl apply --server-side -f -"
}

type operatorInstallCmd struct {
	DryRun        bool   `required:"" help:"Print the manifests; to apply them is kubectl's work."`
	Namespace     string `default:"heddle-system" placeholder:"NAME" help:"Where all is installed."`
	Image         string `default:"registry.example.com/heddle:latest" placeholder:"IMAGE" help:"Built with deploy/Dockerfile."`
	Cluster       string `required:"" placeholder:"NAME" help:"The cluster's name in the mesh, which no other has."`
	EtcdEndpoints string `placeholder:"URLS" help:"An etcd outside, between commas, for several servers. Default: one server with an etcd of its own."`
	Servers       int32  `placeholder:"N" help:"How many servers; default 1, or 3 with --etcd-endpoints."`
	Operators     int32  `default:"2" placeholder:"N" help:"How many operators."`
	FailurePolicy string `enum:"Fail,Ignore" default:"Fail" placeholder:"Fail|Ignore" help:"What becomes of pods that opted in while the webhook is down: they wait (Fail), or go without a sidecar (Ignore)."`
	Authz         bool   `help:"AuthZ services and their Redis too; needs --etcd-endpoints."`
	Gateway       bool   `help:"A gateway too, named edge."`
}

// Help shows examples below the flags.
func (operatorInstallCmd) Help() string {
	return `The definitions of the custom resources come first.

Examples:

  heddle operator install --dry-run --image registry.example/heddle:1.0.0 --cluster prod | kubectl apply --server-side -f -
  heddle operator install --dry-run --cluster prod --etcd-endpoints https://etcd-0.example:2379,https://etcd-1.example:2379 --authz --gateway`
}

// Run prints the manifests.
func (c *operatorInstallCmd) Run(con *console) error {
	switch {
	case mesh.OfCluster(c.Cluster).Fault() != "":
		return &usageError{message: fmt.Sprintf("--cluster %q: its name in the mesh has to be a DNS label such as \"prod\"", c.Cluster)}
	case c.Authz && c.EtcdEndpoints == "":
		return &usageError{message: "--authz needs --etcd-endpoints: AuthZ services share their keys through etcd"}
	case c.Servers < 0 || c.Operators < 1:
		return &usageError{message: fmt.Sprintf("--servers %d, --operators %d: there has to be one at least", c.Servers, c.Operators)}
	case c.Servers > 1 && c.EtcdEndpoints == "":
		return &usageError{message: "--servers needs --etcd-endpoints: an etcd inside the server has one member"}
	}
	text, err := install.Print(install.Options{
		Namespace: c.Namespace, Image: c.Image, Cluster: c.Cluster, EtcdEndpoints: c.EtcdEndpoints, Servers: c.Servers, Operators: c.Operators,
		FailurePolicy: install.FailurePolicy(c.FailurePolicy), Authz: c.Authz, Gateway: c.Gateway,
	})
	if err != nil {
		return err
	}
	_, err = con.out.Write(text)
	return err
}
