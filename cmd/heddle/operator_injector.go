package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/kubernetes/injector"
	"github.com/heddle-mesh/heddle/internal/kubernetes/operator"
)

// injectorFlags have the operator put sidecars into the pods of its first cluster.
type injectorFlags struct {
	WebhookListen        string   `placeholder:"HOST:PORT" help:"Where the API server asks for sidecars, and these ask to join, over HTTPS. Default: nowhere, and nothing is injected."`
	WebhookHost          []string `placeholder:"NAME" help:"A name or IP address that it is called by there; may be repeated. Default: heddle-operator.NAMESPACE.svc."`
	WebhookConfiguration string   `default:"heddle" placeholder:"NAME" help:"The MutatingWebhookConfiguration that the roots of its certificate are written into."`
	Image                string   `placeholder:"IMAGE" help:"Image of the sidecars; needed with --webhook-listen."`
	PodServer            string   `placeholder:"URL" help:"The server's REST API over TLS as pods reach it. Default: --server."`
	PodXDS               []string `name:"pod-xds" placeholder:"HOST:PORT" help:"The control planes as pods reach them (heddle server --xds-tls-listen); needed with --webhook-listen. May be repeated."`
	AttestURL            string   `placeholder:"URL" help:"--webhook-listen as pods reach it. Default: https:// and the first --webhook-host."`
}

// injector is what the flags ask for, or nil.
func (f *injectorFlags) injector(cluster operator.Cluster, namespace, server string, api *client.Client, log *slog.Logger, metrics prometheus.Registerer) (*injector.Injector, error) {
	if f.WebhookListen == "" {
		if f.Image != "" || len(f.PodXDS) > 0 {
			return nil, &usageError{message: "--image and --pod-xds are of injected sidecars: they need --webhook-listen"}
		}
		return nil, nil //nolint:nilnil // none is no error
	}
	if f.Image == "" || len(f.PodXDS) == 0 {
		return nil, &usageError{message: "--webhook-listen needs --image and --pod-xds: what sidecars run, and whom they ask for their configuration"}
	}
	hosts := f.WebhookHost
	if len(hosts) == 0 {
		hosts = []string{"heddle-operator." + namespace + ".svc"}
	}
	made, err := injector.New(injector.Config{
		Kubernetes: cluster.Config, Registry: api, Hosts: hosts, Configuration: f.WebhookConfiguration, Logger: log, Metrics: metrics,
		Settings: inject.Settings{
			Cluster: cluster.Name, Namespace: namespace, Image: f.Image,
			Server: cmp.Or(f.PodServer, server), XDS: f.PodXDS, AttestURL: cmp.Or(f.AttestURL, "https://"+hosts[0]),
		},
	})
	if err != nil {
		return nil, &usageError{message: "--cluster: " + err.Error()}
	}
	return made, nil
}

// runInjector serves until ctx ends.
func (f *injectorFlags) runInjector(ctx context.Context, one *injector.Injector) error {
	listener, err := listen(ctx, "--webhook-listen", f.WebhookListen)
	if err != nil {
		return err
	}
	return one.Run(ctx, listener)
}

// withInjector has the operator be ready once its webhook is, whatever becomes of the
// server and of other clusters: while those are away, pods are made all the same.
func withInjector(health http.Handler, one *injector.Injector) http.Handler {
	if one == nil {
		return health
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			health.ServeHTTP(w, r)
			return
		}
		if err := one.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}
