package operator

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
)

// Cluster is one Kubernetes cluster.
type Cluster struct {
	Name   string // in the mesh: of keepers, instances and endpoints.kubernetes.clusters
	Config *rest.Config
	// Instead is the uid (of kube-system) of the cluster in whose place this one comes,
	// which had its name and has gone for good; "": none.
	Instead string
	// Renamed is the name in the mesh that the cluster had before, and gives up; "": none.
	Renamed string
}

// Config says what is joined. Clusters, Registry, Logger and Metrics are required.
type Config struct {
	Clusters []Cluster
	Registry *client.Client
	// Proxies are the servers whose proxies are counted, each by all addresses that its
	// name has; default Registry.
	Proxies  []*client.Client
	Standing *Standing // of Registry's token; nil: nobody watches it
	// Namespace is where the lease of the leader is, in each cluster; "": there is no
	// election, and this process leads.
	Namespace string
	// Lease is how long a leader that went silent leads on; default 15 s.
	Lease   time.Duration
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// Operator joins clusters to the mesh.
type Operator struct {
	cfg      Config
	mirror   *mirror
	counted  *counted
	keepers  *keepers
	metrics  *Metrics
	gateways *gatewayapi.Metrics
	clusters []*joined
}

// New makes an operator; Run has it begin.
func New(cfg Config) (*Operator, error) {
	if len(cfg.Proxies) == 0 {
		cfg.Proxies = []*client.Client{cfg.Registry}
	}
	o := &Operator{cfg: cfg, mirror: newMirror(), counted: newCounted(cfg.Proxies), keepers: &keepers{registry: cfg.Registry}}
	seen := map[string]bool{}
	var names []string
	for _, one := range cfg.Clusters {
		if seen[one.Name] {
			return nil, fmt.Errorf("two clusters are called %q: give each a name of its own", one.Name)
		}
		seen[one.Name] = true
		names = append(names, one.Name)
		joins := &joined{Cluster: one, operator: o, log: cfg.Logger.With("cluster", one.Name)}
		joins.reach.log, joins.reach.shows = joins.log, func(is bool) { o.metrics.connected(one.Name, is) }
		o.clusters = append(o.clusters, joins)
	}
	o.metrics = NewMetrics(cfg.Metrics, names...)
	o.gateways = gatewayapi.NewMetrics(cfg.Metrics, names...)
	return o, nil
}

// Run works until ctx ends. A registry that is away or does not know the operator's
// token is asked again and again. A cluster that
// cannot be reached is tried again and again, and holds up no other.
func (o *Operator) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.mirror.follow(ctx, o.cfg.Registry, o.cfg.Logger) })
	for _, one := range o.clusters {
		group.Go(func() error { one.run(ctx); return nil })
	}
	return group.Wait()
}

// Ready says why the operator does not work yet; nil: it does, or would if it led. A
// cluster that was read and is away by now does not make it unready: another replica
// would reach it as little, and the other clusters are served.
func (o *Operator) Ready() error {
	if err := o.cfg.Standing.Err(); err != nil {
		return err
	}
	if !o.mirror.isSynced() {
		return fmt.Errorf("the registry has not been read yet")
	}
	for _, one := range o.clusters {
		if why := one.refused.Load(); why != nil {
			return *why
		}
		if !one.synced.Load() {
			if why := one.reach.away(); why != nil {
				return fmt.Errorf("cluster %s has not been read yet: %w", one.Name, why)
			}
			return fmt.Errorf("cluster %s has not been read yet", one.Name)
		}
	}
	return nil
}

// WaitReady waits until Ready has nothing to say; false: ctx ended before.
func (o *Operator) WaitReady(ctx context.Context) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for o.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Health serves /livez and /readyz.
func (o *Operator) Health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		for _, why := range o.Away() {
			fmt.Fprintln(w, why)
		}
	})
	return mux
}
