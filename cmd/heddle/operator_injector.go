package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/attest"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/kubernetes/injector"
	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/kubernetes/operator"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// injectorFlags have the operator put sidecars into the pods of its first cluster.
type injectorFlags struct {
	WebhookListen        string   `placeholder:"HOST:PORT" help:"Where the API server asks for sidecars, and these ask to join, over HTTPS. Default: nowhere, and nothing is injected."`
	WebhookHost          []string `placeholder:"NAME" help:"A name or IP address that it is called by there; may be repeated. Default: heddle-operator.NAMESPACE.svc."`
	WebhookConfiguration string   `default:"${webhookConfiguration}" placeholder:"NAME" help:"The MutatingWebhookConfiguration that the roots of its certificate are written into."`
	Image                string   `placeholder:"IMAGE" help:"Image of the sidecars; needed with --webhook-listen."`
	PodServer            string   `placeholder:"URL" help:"The server's REST API over TLS as pods reach it. Default: --server."`
	PodXDS               []string `name:"pod-xds" placeholder:"HOST:PORT" help:"The control planes as pods reach them (heddle server --xds-tls-listen); needed with --webhook-listen. May be repeated."`
	Vouch                []string `sep:"none" placeholder:"IDENTITY=[NAMESPACE/]ACCOUNT" help:"Pods of this service account join as gateways of a name (gateway/NAME) or as AuthZ services (heddle/authz); the namespace is the operator's own unless it is given. May be repeated. The operator's token has to vouch for it too (heddle token create --vouch). Default: nobody."`
	VouchGateways        bool     `default:"true" negatable:"" help:"Have the pods of a Gateway (heddle operator gateway) join as its gateway, by the service account that is its own; --no-vouch-gateways: by --vouch alone."`
	BindAddress          bool     `default:"true" negatable:"" help:"Have a pod's join token be good from that pod's address only; --no-bind-address where something translates addresses between pods and the server."`
	InterceptIptables    string   `enum:"default,nft,legacy" default:"default" placeholder:"KIND" help:"The kind of iptables that heddle intercept uses in pods: default (whatever the image's iptables is), nft or legacy, as the hosts' kernels can."`
	InterceptIPv6        bool     `name:"intercept-ipv6" default:"true" negatable:"" help:"Redirect IPv6 in pods too; --no-intercept-ipv6 where the hosts' kernels cannot. Callers then reach applications past the sidecar over IPv6, if these listen there."`
	AttestURL            string   `placeholder:"URL" help:"--webhook-listen as pods reach it. Default: https:// and the first --webhook-host."`
}

// injector is what the flags ask for, or nil.
func (f *injectorFlags) injector(joined *operator.Operator, cluster operator.Cluster, namespace, server string, api *client.Client, log *slog.Logger, metrics prometheus.Registerer) (*injector.Injector, error) {
	if f.WebhookListen == "" {
		if f.Image != "" || len(f.PodXDS) > 0 || len(f.Vouch) > 0 || f.iptables() != "" || !f.InterceptIPv6 {
			return nil, &cli.UsageError{Message: "--image, --pod-xds, --vouch, --intercept-iptables and --no-intercept-ipv6 are of pods that join: they need --webhook-listen"}
		}
		return nil, nil //nolint:nilnil // none is no error
	}
	if f.Image == "" || len(f.PodXDS) == 0 {
		return nil, &cli.UsageError{Message: "--webhook-listen needs --image and --pod-xds: what sidecars run, and whom they ask for their configuration"}
	}
	accounts, err := f.accounts(namespace)
	if err != nil {
		return nil, err
	}
	hosts := f.WebhookHost
	if len(hosts) == 0 {
		hosts = []string{install.Operator + "." + namespace + ".svc"}
	}
	made, err := injector.New(injector.Config{
		Kubernetes: cluster.Config, Registry: api, Gate: func() (*client.Client, error) { return joined.Gate(cluster.Name) }, Accounts: accounts, NoGateways: !f.VouchGateways, AnyAddress: !f.BindAddress, Hosts: hosts, Configuration: f.WebhookConfiguration, Logger: log, Metrics: metrics,
		Settings: inject.Settings{
			Cluster: cluster.Name, Namespace: namespace, Image: f.Image,
			Server: cmp.Or(f.PodServer, server), XDS: f.PodXDS, AttestURL: cmp.Or(f.AttestURL, "https://"+hosts[0]),
			Iptables: f.iptables(), NoIPv6: !f.InterceptIPv6,
		},
	})
	if err != nil {
		return nil, &cli.UsageError{Message: "--cluster: " + err.Error()}
	}
	return made, nil
}

// checkPods judges the addresses that pods are told, which no pod would otherwise say.
func (f *injectorFlags) checkPods() error {
	for _, one := range f.PodXDS {
		host, port, err := net.SplitHostPort(one)
		if number, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || number == 0 || host == "" {
			return &cli.UsageError{Message: fmt.Sprintf("--pod-xds %q has to be HOST:PORT, such as heddle-server.heddle-system.svc:18443", one)}
		}
	}
	for _, one := range []struct{ flag, value string }{{"--pod-server", f.PodServer}, {"--attest-url", f.AttestURL}} {
		at, err := url.Parse(one.value)
		if one.value != "" && (err != nil || at.Scheme != "https" || at.Hostname() == "") {
			return &cli.UsageError{Message: fmt.Sprintf("%s %q has to be an https:// URL, such as https://heddle-server.heddle-system.svc:7443", one.flag, one.value)}
		}
	}
	return nil
}

// iptables is the kind that heddle intercept is told; "" for the image's own.
func (f *injectorFlags) iptables() string {
	if f.InterceptIptables == "default" {
		return ""
	}
	return f.InterceptIptables
}

// accounts reads who runs gateways and AuthZ services; own is the operator's namespace.
func (f *injectorFlags) accounts(own string) (map[mesh.Identity][]attest.Account, error) {
	out := map[mesh.Identity][]attest.Account{}
	for _, one := range f.Vouch {
		of, account, err := attest.ParseAccount(one, own)
		if err != nil {
			return nil, &cli.UsageError{Message: "--vouch " + err.Error()}
		}
		out[of] = append(out[of], account)
	}
	return out, nil
}

// runInjector serves until ctx ends.
func (f *injectorFlags) runInjector(ctx context.Context, one *injector.Injector) error {
	listener, err := cli.Listen(ctx, "--webhook-listen", f.WebhookListen)
	if err != nil {
		return err
	}
	return one.Run(ctx, listener)
}

// withInjector has the operator be ready once its webhook is, whatever becomes of the
// server and of other clusters: while those are away, pods are made all the same. That its
// token is not known, or the cluster's name another's, it says there all the same, with a
// status of success: pods have to reach it to be told why they may not join.
func withInjector(joined *operator.Operator, cluster string, one *injector.Injector, standing *operator.Standing) http.Handler {
	health := joined.Health()
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
		} else if err := standing.Err(); err != nil {
			fmt.Fprintln(w, err)
		} else if err := joined.NameTaken(cluster); err != nil {
			fmt.Fprintln(w, err)
		} else {
			for _, why := range joined.Away() {
				fmt.Fprintln(w, why)
			}
		}
	})
}
