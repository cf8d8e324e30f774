// Package injector runs what a cluster asks the operator over HTTPS: the webhook
// that puts sidecars into pods (package webhook), the attestation by which those
// join the mesh (attest), and the certificate of both (certificates). [Injector]
// joins them; each replica of the operator runs one.
package injector

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/attest"
	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/kubernetes/webhook"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config says what is served, and for whom. All fields are required, but for Accounts.
type Config struct {
	Kubernetes    *rest.Config
	Registry      *client.Client                     // with the keeper's token
	Gate          attest.Gate                        // of the cluster's name
	Settings      inject.Settings                    // AttestCA is filled in
	Accounts      map[mesh.Identity][]attest.Account // who runs gateways and AuthZ services; nil: nobody
	NoGateways    bool                               // pods of Gateways join as those of Accounts alone
	AnyAddress    bool                               // see [attest.Config]
	Hosts         []string                           // the names that the API server and pods call
	Configuration string                             // the MutatingWebhookConfiguration to be kept
	Logger        *slog.Logger
	Metrics       prometheus.Registerer
}

// Injector serves one cluster.
type Injector struct {
	keeper *certificates.Keeper
	server *http.Server
}

// New makes an Injector; nothing is asked of the cluster yet.
func New(cfg Config) (*Injector, error) {
	api, err := kubernetes.NewForConfig(cfg.Kubernetes)
	if err != nil {
		return nil, err
	}
	attestor := attest.Config{
		Cluster: cfg.Settings.Cluster, Accounts: cfg.Accounts, AnyAddress: cfg.AnyAddress, Kubernetes: api, Mesh: attest.OfClient(cfg.Registry, cfg.Settings.Cluster, cfg.Gate), Logger: cfg.Logger, Metrics: attest.NewMetrics(cfg.Metrics),
	}
	if !cfg.NoGateways {
		if attestor.Serves, err = gatewayapi.Served(cfg.Kubernetes); err != nil {
			return nil, err
		}
	}
	keeper := certificates.New(certificates.Config{
		Client: api, Namespace: cfg.Settings.Namespace, Hosts: cfg.Hosts, Configuration: cfg.Configuration, Logger: cfg.Logger,
	})
	settings := func() inject.Settings {
		now := cfg.Settings
		now.AttestCA = keeper.Roots()
		return now
	}
	mux := http.NewServeMux()
	mux.Handle("/inject/", webhook.Handler(webhook.Config{Settings: settings, Logger: cfg.Logger, Metrics: webhook.NewMetrics(cfg.Metrics)}))
	mux.Handle(attest.Path, attest.New(attestor))
	return &Injector{keeper: keeper, server: webhook.NewServer(mux, keeper.TLS(), cfg.Logger)}, nil
}

// Ready says why a call would be refused now.
func (i *Injector) Ready() error {
	if !i.keeper.Ready() {
		return errors.New("the webhook has no certificate yet")
	}
	return nil
}

// Run serves on a listener until ctx ends, and then what has begun.
func (i *Injector) Run(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return i.keeper.Run(ctx) })
	group.Go(func() error { return webhook.Serve(ctx, i.server, listener) })
	return group.Wait()
}
