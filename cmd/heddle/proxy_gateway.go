package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// gatewayFlags are what heddle proxy takes at the edge, instead of those that are
// marked at:"service".
type gatewayFlags struct {
	Gateway       string        `at:"gateway" env:"HEDDLE_GATEWAY" placeholder:"NAME" help:"Run a gateway of this name instead of a sidecar: it serves the routes that name it, or none." empty:"fine"`
	ListenAddress string        `at:"gateway" placeholder:"IP" help:"Where a gateway listens. Default: all addresses."`
	HTTPPort      int           `at:"gateway" name:"http-port" default:"8080" placeholder:"PORT" help:"Where a gateway takes plain HTTP; 0: nowhere."`
	HTTPSPort     int           `at:"gateway" name:"https-port" default:"8443" placeholder:"PORT" help:"Where a gateway that has certificates takes HTTPS."`
	PublicPort    int           `at:"gateway" placeholder:"PORT" help:"The port that clients use for HTTPS, if something before the gateway maps it. Default: --https-port."`
	HTTP3         bool          `at:"gateway" name:"http3" help:"Take HTTP/3 too, on the UDP port of the number of --https-port."`
	TLSCert       []string      `at:"gateway" name:"tls-cert" sep:"none" placeholder:"FILE" help:"A certificate and those that vouch for it, PEM. May be repeated: clients get the one for the name that they ask for, or else the first."`
	TLSKey        []string      `at:"gateway" name:"tls-key" sep:"none" placeholder:"FILE" help:"Its private key, PEM; as many as --tls-cert, in the same order."`
	DrainDelay    time.Duration `at:"gateway" default:"1s" help:"How long a gateway that was told to end goes on taking connections, while it answers 503 to the checks of load balancers on /.heddle/ready."`
	TrustedHops   int           `at:"gateway" default:"0" placeholder:"N" help:"How many proxies before a gateway add to X-Forwarded-For and are believed."`
}

// bootstrap is what the flags say, once it is sure that they are for one of both.
func (c *proxyCmd) bootstrap(parsed *kong.Context) (proxy.BootstrapConfig, error) {
	switch {
	case c.Gateway == "" && c.Service == "" && !given(parsed, "service"):
		return proxy.BootstrapConfig{}, cli.UsageOf(parsed, "missing flags: --service=NAME, or --gateway=NAME")
	case c.Gateway != "" && c.Service != "":
		return proxy.BootstrapConfig{}, cli.UsageOf(parsed, "--service and --gateway cannot be used together: run two of them")
	case c.Gateway != "":
		if wrong := flagsAt(parsed, "service"); len(wrong) > 0 {
			return proxy.BootstrapConfig{}, cli.UsageOf(parsed, strings.Join(wrong, ", ")+": for a sidecar, not for a gateway: leave it out")
		}
	default:
		if wrong := flagsAt(parsed, "gateway"); len(wrong) > 0 {
			return proxy.BootstrapConfig{}, cli.UsageOf(parsed, strings.Join(wrong, ", ")+": for a gateway (--gateway NAME): leave it out")
		}
	}
	return c.sidecarFlags.config()
}

// given says whether a flag is on the line.
func given(parsed *kong.Context, name string) bool {
	return slices.ContainsFunc(parsed.Path, func(step *kong.Path) bool { return step.Flag != nil && step.Flag.Name == name })
}

// flagsAt are the flags of the line that are for one of both alone.
func flagsAt(parsed *kong.Context, place string) []string {
	var found []string
	for _, step := range parsed.Path {
		if step.Flag != nil && !step.Resolved && step.Flag.Tag.Get("at") == place {
			found = append(found, "--"+step.Flag.Name)
		}
	}
	return found
}

// named has faults in the name of a gateway name its flag. What is wrong with its
// certificates is found when it runs, and is wrong usage too.
func (f *gatewayFlags) named(err error) error {
	var refused *mesh.Error
	if f.Gateway == "" || !errors.As(err, &refused) {
		return err
	}
	for i := range refused.Faults {
		if refused.Faults[i].Path == "service" {
			refused.Faults[i].Path = "gateway"
		}
	}
	if slices.ContainsFunc(refused.Faults, func(one mesh.Fault) bool { return strings.HasPrefix(one.Path, "tlsCert") }) {
		return cli.WrongFlags(err)
	}
	return err
}

// propagation is how long others may take to hear that this proxy ends; of a
// sidecar, the default.
func (f *gatewayFlags) propagation() time.Duration {
	switch {
	case f.Gateway == "":
		return 0
	case f.DrainDelay == 0:
		return time.Nanosecond // none, not the default
	}
	return f.DrainDelay
}

// config turns a sidecar's bootstrap into that of a gateway, if it is one.
func (f *gatewayFlags) config(of proxy.BootstrapConfig) (proxy.BootstrapConfig, []proxy.CertificateFiles, error) {
	if f.Gateway == "" {
		return of, nil, nil
	}
	if len(f.TLSCert) != len(f.TLSKey) {
		return of, nil, &cli.UsageError{Message: fmt.Sprintf("--tls-cert is given %d times and --tls-key %d times: each certificate needs its key", len(f.TLSCert), len(f.TLSKey))}
	}
	var files []proxy.CertificateFiles
	for i := range f.TLSCert {
		files = append(files, proxy.CertificateFiles{Certificate: f.TLSCert[i], Key: f.TLSKey[i]})
	}
	at := &mesh.GatewayProxy{
		ListenAddress: f.ListenAddress, HTTPPort: mesh.Port(f.HTTPPort), HTTP3: f.HTTP3,
		PublicPort: mesh.Port(f.PublicPort), Certificates: len(files), TrustedHops: f.TrustedHops,
	}
	if len(files) > 0 {
		at.HTTPSPort = mesh.Port(f.HTTPSPort)
	}
	of.Proxy = mesh.Proxy{Service: mesh.ServiceName(f.Gateway), Instance: of.Proxy.Instance, Profile: mesh.GatewayProfile, Gateway: at}
	return of, files, nil
}
