package proxy

import (
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/lease"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config is what one sidecar runs with. Envoy, Bootstrap.Proxy's Service and
// Instance are required; Registrar is when the workload takes calls.
type Config struct {
	Bootstrap BootstrapConfig
	Registrar lease.Registrar // where the instance is registered; not used when AppPort is 0
	// NoRegister: somebody else registers the instance, and knows when the application
	// is ready.
	NoRegister bool

	Envoy         string // path of the binary, see [FindEnvoy]
	Concurrency   int    // Envoy's worker threads; default 2, or 1 on a machine with one CPU
	EnvoyLogLevel string // trace, debug, info, warning (default), error, critical, off

	Certificates []CertificateFiles // of a gateway, the default one first; as many as Bootstrap.Proxy.Gateway says

	AdvertiseAddress string            // IP that is registered; default: the inbound address, else this machine's
	AdvertisePort    mesh.Port         // default: the port that Envoy listens on
	Labels           map[string]string // of the instance
	Weight           int               // of the instance; 0: the default
	TTL              time.Duration     // of the registration; default 10 s
	AppReady         AppCheck          // asked before the instance is registered

	DrainTimeout time.Duration // longest wait for active requests at the end; default 10 s
	Propagation  time.Duration // how long callers (of a gateway, load balancers) may take to hear that it drains; default 1 s

	// Report, if given, hears of the sidecar each time that something in its
	// status changes while it can serve. It is called by Run, one call at a time.
	Report func(Status)
	// Problems, if given, hears that nothing is served and why, and that it is again: then
	// the list is empty. It is called as Report is.
	Problems func([]Problem)
	// Hurry, if given, cuts short the drain when it is closed.
	Hurry <-chan struct{}

	Stdout io.Writer    // gets Envoy's access logs, if the mesh has them on its standard output; nil: nobody does
	Logger *slog.Logger // nil: no log
}

// Status is where a sidecar that serves is reached.
type Status struct {
	Instance mesh.InstanceKey
	Epoch    string         // of its registration; "" when the workload takes no calls
	Admin    netip.AddrPort // Envoy's admin interface
	Inbound  netip.AddrPort // where it takes calls; the zero value when it takes none
	Outbound netip.AddrPort // where the application makes its HTTP calls; the zero value when it makes none
	HTTP     netip.AddrPort // where a gateway takes plain HTTP; the zero value when it does not
	HTTPS    netip.AddrPort // where a gateway takes HTTPS; the zero value when it does not
	PID      int            // of Envoy
}

// The defaults of a [Config].
const (
	DefaultTTL          = 10 * time.Second
	DefaultDrainTimeout = 10 * time.Second
	defaultPropagation  = time.Second
	defaultConcurrency  = 2
	// shortestTTL and longestTTL are what the registry grants.
	shortestTTL = 2 * time.Second
	longestTTL  = 24 * time.Hour
)

var envoyLogLevels = []string{"trace", "debug", "info", "warning", "error", "critical", "off"}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.Concurrency == 0 {
		c.Concurrency = min(defaultConcurrency, runtime.NumCPU())
	}
	if c.EnvoyLogLevel == "" {
		c.EnvoyLogLevel = "warning"
	}
	if c.TTL == 0 {
		c.TTL = DefaultTTL
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Propagation == 0 {
		c.Propagation = defaultPropagation
	}
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate reports every fault. It expects the defaults to be filled in.
func (c Config) validate() mesh.Faults {
	f := c.Bootstrap.Validate()
	if c.Envoy == "" {
		f.Add("envoy", "is missing: name the Envoy to run")
	}
	if c.Concurrency < 1 || c.Concurrency > 1024 {
		f.Add("concurrency", "%d is not from 1 to 1024", c.Concurrency)
	}
	if !slices.Contains(envoyLogLevels, c.EnvoyLogLevel) {
		f.Add("envoyLogLevel", "%q is not one of %v", c.EnvoyLogLevel, envoyLogLevels)
	}
	if c.TTL < shortestTTL || c.TTL > longestTTL {
		f.Add("ttl", "%s is not from %s to %s", c.TTL, shortestTTL, longestTTL)
	}
	if c.DrainTimeout < 0 {
		f.Add("drainTimeout", "%s is negative", c.DrainTimeout)
	}
	if c.Weight < 0 || c.Weight > 1000 {
		f.Add("weight", "%d is not from 1 to 1000", c.Weight)
	}
	if c.AdvertisePort < 0 || c.AdvertisePort > 65535 {
		f.Add("advertisePort", "%d is not a port: use 1 to 65535, or 0 for the inbound port", int(c.AdvertisePort))
	}
	if c.AdvertiseAddress != "" {
		if ip, err := netip.ParseAddr(c.AdvertiseAddress); err != nil || ip.IsUnspecified() {
			f.Add("advertiseAddress", "%q is not an IP address that callers can reach", c.AdvertiseAddress)
		}
	}
	if g := c.Bootstrap.Proxy.Gateway; g != nil && g.Certificates != len(c.Certificates) {
		f.Add("certificates", "%d are told to the control plane, and %d are here", g.Certificates, len(c.Certificates))
	}
	if c.Registrar == nil && c.registers() {
		f.Add("registrar", "is missing: a workload that takes calls is registered")
	}
	return f
}

// takesCalls: a workload without a port only makes calls and is not registered.
func (c Config) takesCalls() bool { return c.Bootstrap.Proxy.AppPort != 0 }

// registers: the instance is this sidecar's to register.
func (c Config) registers() bool { return c.takesCalls() && !c.NoRegister }

// noun is what runs, for people.
func (c Config) noun() string {
	if c.isGateway() {
		return "gateway"
	}
	return "sidecar"
}

// isGateway: an Envoy at the edge, beside no workload.
func (c Config) isGateway() bool { return c.Bootstrap.Proxy.Gateway != nil }
