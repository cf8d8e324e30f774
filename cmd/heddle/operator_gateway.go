package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayproxies"
)

type operatorGatewayCmd struct {
	Name            string `arg:"" optional:"" help:"The Gateway. With --file it may be left out."`
	Namespace       string `short:"n" placeholder:"NAME" help:"The Gateway's. Default: that of the kubeconfig's context."`
	File            string `name:"file" short:"f" complete:"files" placeholder:"FILE|-" help:"Read the Gateway from its manifest, - for standard input, and ask no cluster; needs --cluster, --image and --operator-ca."`
	Kubeconfig      string `type:"path" placeholder:"FILE" help:"By which the Gateway is read. Default: as kubectl does."`
	Replicas        int32  `default:"2" placeholder:"N" help:"How many proxies."`
	ServiceType     string `enum:"LoadBalancer,ClusterIP,NodePort" default:"LoadBalancer" placeholder:"LoadBalancer|ClusterIP|NodePort" help:"The type of the Service."`
	HeddleNamespace string `default:"${namespace}" placeholder:"NAME" help:"Where Heddle is installed. What is not said below is read from the operator's Deployment there."`
	Cluster         string `placeholder:"NAME" help:"The cluster's name in the mesh."`
	Image           string `placeholder:"IMAGE" help:"What the proxies run."`
	OperatorCA      string `name:"operator-ca" type:"path" placeholder:"FILE" help:"What the operator's certificate is verified by, PEM. Default: what MutatingWebhookConfiguration heddle says."`
	PodServer       string `placeholder:"URL" help:"The server's REST API over TLS as pods reach it. Default: the operator's, or else that of --heddle-namespace."`
	PodXDS          string `name:"pod-xds" placeholder:"HOST:PORT" help:"The control plane as pods reach it. Default: likewise."`
	AttestURL       string `placeholder:"URL" help:"Where pods ask the operator to join. Default: likewise."`
}

// Help shows examples below the flags.
func (operatorGatewayCmd) Help() string {
	return `Prints the manifests of what runs a Gateway of the Gateway API: service account, Deployment, Service, disruption budget, network policy. Who may make those in its namespace applies them: the operator has no right to. Run it again when the Gateway has got other listeners.

Examples:

  heddle operator gateway web --namespace shop | kubectl apply -f -
  heddle operator gateway web -n shop --replicas 3 --service-type ClusterIP | kubectl apply -f -
  heddle operator gateway -f gateway.yaml --cluster prod --image registry.example/heddle:1.0.0 --operator-ca operator-ca.crt > proxies.yaml`
}

// Run prints the manifests, and says beside them what else there is to know.
func (c *operatorGatewayCmd) Run(ctx context.Context, con *cli.Console) error {
	if c.Replicas < 1 {
		return &cli.UsageError{Message: fmt.Sprintf("--replicas %d: there has to be one at least", c.Replicas)}
	}
	config := gatewayproxies.Config{
		Name: c.Name, Namespace: c.Namespace, Kubeconfig: c.Kubeconfig, Replicas: c.Replicas, Service: c.ServiceType,
		Installation: gatewayproxies.Installation{
			Namespace: c.HeddleNamespace, Cluster: c.Cluster, Image: c.Image, Server: c.PodServer, XDS: c.PodXDS, AttestURL: c.AttestURL,
		},
	}
	if c.File != "" && c.Kubeconfig != "" {
		return &cli.UsageError{Message: "--file and --kubeconfig cannot be used together: with a file no cluster is asked"}
	}
	var err error
	if c.OperatorCA != "" {
		if config.Roots, err = os.ReadFile(c.OperatorCA); err != nil {
			return &cli.UsageError{Message: "--operator-ca: " + err.Error()}
		}
	}
	if config.File, err = c.manifest(con); err != nil {
		return err
	}
	text, notes, err := gatewayproxies.Manifests(ctx, config)
	if err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(con.Err, "note:", note)
	}
	_, err = con.Out.Write(text)
	return err
}

// manifest is the file that has the Gateway; nil: the cluster is asked.
func (c *operatorGatewayCmd) manifest(con *cli.Console) (text []byte, err error) {
	switch c.File {
	case "":
		if c.Name == "" {
			return nil, &cli.UsageError{Message: "say the name of the Gateway, or name its manifest with --file"}
		}
		return nil, nil
	case "-":
		text, err = io.ReadAll(con.In)
	default:
		text, err = os.ReadFile(c.File)
	}
	if err != nil {
		return nil, &cli.UsageError{Message: "--file: " + err.Error()}
	}
	return append([]byte{}, text...), nil
}
