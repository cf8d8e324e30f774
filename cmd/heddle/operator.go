package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/kubernetes/operator"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// operatorCmd joins Kubernetes clusters to the mesh.
type operatorCmd struct {
	Cluster        []string      `required:"" sep:"none" placeholder:"NAME[=KUBECONFIG]" help:"A cluster to join, by its name in the mesh; repeatable. Without a kubeconfig: the one that this pod runs in, or else the default kubeconfig's."`
	AdoptCluster   []string      `sep:"none" placeholder:"NAME=UID" help:"The cluster NAME takes the place of the one whose namespace kube-system has this uid, which had its name in the mesh and has gone for good; repeatable."`
	RenameCluster  []string      `sep:"none" placeholder:"NEW=OLD" help:"The cluster NEW was called OLD in the mesh until now, and is no longer: end its former operator first; repeatable."`
	ProxiesAt      []string      `sep:"none" placeholder:"URL" help:"A server at which connected proxies are counted, for the status of objects: each address that its name has is one; repeatable. Default: --server. Name all of several servers, or a name that has all their addresses."`
	ServerCAFile   string        `name:"server-ca-file" type:"path" placeholder:"FILE" help:"PEM certificates that those of --server and --proxies-at are verified by, such as the mesh's root; read again when they change. Default: those of this machine."`
	HTTPListen     string        `name:"http-listen" default:"127.0.0.1:7090" placeholder:"HOST:PORT" help:"Where /metrics, /livez and /readyz are served; port 0 takes a free one."`
	LeaderElection bool          `default:"true" negatable:"" help:"Have one of several replicas write, for each cluster; --no-leader-election for one that runs alone."`
	Namespace      string        `placeholder:"NAME" help:"Its own namespace in each cluster, of the leader's lease and the webhook's certificate, where no sidecars are injected; default: this pod's, or else heddle-system."`
	LeaseDuration  time.Duration `default:"15s" placeholder:"TIME" help:"How long a leader that went silent leads on, before another takes over."`
	ReadyFile      string        `type:"path" placeholder:"FILE" help:"Written once the clusters and the registry have been read, with the address as JSON."`

	injectorFlags
}

// Help shows examples below the flags.
func (*operatorCmd) Help() string {
	return `Writes MeshService, Upstream and MeshRoute objects to the registry, and the pods behind Kubernetes Services as instances. It is a client of both, and holds nothing of its own: it can be restarted at any time. The token is one that "heddle token create --keeper kubernetes/NAME" gives.

Examples:

  kubectl apply --server-side -f api/crds
  heddle operator --cluster prod --server https://heddle.example:7443 --server-ca-file ca-cert.pem --token-file token
  heddle operator --cluster prod=prod.kubeconfig --cluster stage=stage.kubeconfig --token-file token --no-leader-election
  heddle operator --cluster prod --token-file token --adopt-cluster prod=8f14e45f-ceea-467f-a2b1-3c1b6d1f9a10
  heddle operator --cluster prod --token-file token --rename-cluster prod=production
  heddle operator --cluster prod --token-file token --webhook-listen :9443 --image registry.example/heddle:1.0.0 --pod-xds heddle-server.heddle-system.svc:18443`
}

// Run works until the context ends.
func (c *operatorCmd) Run(ctx context.Context, line *cli.Globals, logger *slog.Logger) (err error) {
	defer cli.AskedToEnd(ctx, &err)
	clusters, err := c.clusters()
	if err != nil {
		return err
	}
	if c.LeaseDuration < 3*time.Second {
		return &cli.UsageError{Message: fmt.Sprintf("--lease-duration %s is too short to be renewed in time: use 3s or more", c.LeaseDuration)}
	}
	if err := c.checkPods(); err != nil {
		return err
	}
	proxies, err := c.proxies(line)
	if err != nil {
		return err
	}
	ready := cli.ReadyFile{Path: c.ReadyFile, Log: logger}
	var web net.Listener
	release, err := ready.Claim(ctx, cli.Port{Listener: &web, Flag: "--http-listen", Address: c.HTTPListen})
	if err != nil {
		return err
	}
	defer release()
	metrics := prometheus.NewRegistry() // the library's has the collectors of Go and of the process
	standing := operator.NewStanding(logger, metrics)
	api, err := line.ConnectWith(client.Config{Tokens: line.ReadToken, RootsFile: c.ServerCAFile, Transport: standing.Watch})
	if err != nil {
		return err
	}
	defer api.Close()
	operator.LogLibraries(logger)
	joined, err := operator.New(operator.Config{Clusters: clusters, Registry: api, Proxies: proxies, Standing: standing, Namespace: c.electedIn(), Lease: c.LeaseDuration, Logger: logger, Metrics: metrics})
	if err != nil {
		return &cli.UsageError{Message: "--cluster: " + err.Error()}
	}
	sidecars, err := c.injector(joined, clusters[0], c.ownNamespace(), line.Server, api, logger, metrics)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{metrics, operator.LibraryMetrics()}, promhttp.HandlerOpts{}))
	mux.Handle("/", withInjector(joined, clusters[0].Name, sidecars, standing))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return joined.Run(ctx) })
	if sidecars != nil {
		group.Go(func() error { return c.runInjector(ctx, sidecars) })
	}
	group.Go(func() error {
		return serveHTTP(ctx, &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, web)
	})
	group.Go(func() error {
		if !joined.WaitReady(ctx) {
			return nil
		}
		logger.Info("ready", "clusters", len(clusters), "http", "http://"+web.Addr().String())
		return ready.Write(map[string]string{"http": "http://" + web.Addr().String()})
	})
	return advise(line, group.Wait())
}

// proxies connects to the servers whose proxies are counted.
func (c *operatorCmd) proxies(line *cli.Globals) ([]*client.Client, error) {
	var out []*client.Client
	for _, one := range c.ProxiesAt {
		if !strings.Contains(one, ":") {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--proxies-at %q is no URL of a server: use one such as https://heddle-server-each.heddle-system.svc:7443", one)}
		}
		at := *line
		at.Server = one
		connected, err := at.ConnectWith(client.Config{Tokens: at.ReadToken, RootsFile: c.ServerCAFile}) // which may be replaced
		if err != nil {
			return nil, &cli.UsageError{Message: "--proxies-at: " + err.Error()}
		}
		out = append(out, connected)
	}
	return out, nil
}

// clusters reads the flag.
func (c *operatorCmd) clusters() ([]operator.Cluster, error) {
	var out []operator.Cluster
	for _, one := range c.Cluster {
		name, kubeconfig, named := strings.Cut(one, "=")
		if named && kubeconfig == "" {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--cluster %s: the name of the kubeconfig is missing behind the =", one)}
		}
		cluster, err := operator.Connect(name, kubeconfig)
		if err != nil {
			return nil, &cli.UsageError{Message: "--cluster: " + err.Error()}
		}
		out = append(out, cluster)
	}
	for _, one := range c.AdoptCluster {
		name, uid, _ := strings.Cut(one, "=")
		at := slices.IndexFunc(out, func(cluster operator.Cluster) bool { return cluster.Name == name })
		if at < 0 || uid == "" {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--adopt-cluster %s: it wants NAME=UID, the name being that of a --cluster", one)}
		}
		out[at].Instead = uid
	}
	for _, one := range c.RenameCluster {
		name, old, _ := strings.Cut(one, "=")
		at := slices.IndexFunc(out, func(cluster operator.Cluster) bool { return cluster.Name == name })
		if at < 0 || !mesh.OfCluster(old).OfInstances() {
			return nil, &cli.UsageError{Message: fmt.Sprintf("--rename-cluster %s: it wants NEW=OLD, the new name being that of a --cluster and the old one a DNS label", one)}
		}
		out[at].Renamed = old
	}
	return out, nil
}

// namespaceFile is where Kubernetes tells a pod its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// electedIn is the namespace of the leader's lease, or "" without an election.
func (c *operatorCmd) electedIn() string {
	if !c.LeaderElection {
		return ""
	}
	return c.ownNamespace()
}

func (c *operatorCmd) ownNamespace() string {
	if c.Namespace != "" {
		return c.Namespace
	}
	if own, err := os.ReadFile(namespaceFile); err == nil {
		return strings.TrimSpace(string(own))
	}
	return install.DefaultNamespace
}

// serveHTTP serves until ctx ends, and then what has begun.
func serveHTTP(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // what does not end in time is cut off
	})
	defer ended()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
