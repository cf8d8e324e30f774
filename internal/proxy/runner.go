package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/lease"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Runner is one sidecar: an Envoy, and the registration of the instance behind it.
type Runner struct {
	config    Config
	bootstrap []byte
	log       *slog.Logger

	certificates *certificates // of a gateway

	serving atomic.Bool // Envoy runs and can serve, and is not leaving

	// Of Run alone.
	served   bool                      // the sidecar could serve once
	held     map[string]netip.AddrPort // where Envoy listened when it last could, by listener
	status   Status
	reported Status // what Report was told last
	troubled bool   // Problems was told so last
}

// New checks the configuration and starts nothing. A wrong configuration is a
// KindInvalid error with every fault.
func New(c Config) (*Runner, error) {
	c = c.withDefaults()
	if err := mesh.Invalid("run a "+c.noun(), c.validate()); err != nil {
		return nil, err
	}
	bootstrap, err := Bootstrap(c.Bootstrap)
	if err != nil {
		return nil, err
	}
	if c.Envoy, err = filepath.Abs(c.Envoy); err != nil { // it may run in another folder
		return nil, fmt.Errorf("find Envoy: %w", err)
	}
	key := mesh.InstanceKey{Service: c.Bootstrap.Proxy.Service, ID: c.Bootstrap.Proxy.Instance}
	return &Runner{config: c, bootstrap: bootstrap, log: c.Logger, certificates: newCertificates(c.Certificates, c.Logger), status: Status{Instance: key}}, nil
}

// The bounds of leaving in order, beside the drain timeout.
const (
	markBound       = 3 * time.Second // to tell callers that the instance drains
	deregisterBound = 3 * time.Second
	awayBound       = time.Second            // for the same, when the control plane did not answer just before
	hurriedBound    = 500 * time.Millisecond // for the deregistration, once there is no more time
	stopGrace       = 5 * time.Second        // for Envoy to end after SIGTERM
)

// Run runs Envoy until ctx ends, then leaves the mesh in order (see leave) and
// returns nil. It returns earlier, with an error, only for what waiting does not
// mend and what shows at the start: a port that is taken, an Envoy that refuses
// its configuration, a registration that is refused. When it returns, Envoy and
// all goroutines are gone. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	if err := checkPorts(r.config.Bootstrap); err != nil {
		return err
	}
	instance, err := r.instance(ctx)
	if err != nil {
		return err
	}
	if err := r.certificates.open(r.config.Bootstrap.Identity); err != nil {
		return err
	}
	defer r.certificates.close()
	registration := lease.New(r.config.Registrar, instance, r.config.TTL, r.log)

	// The lease outlives ctx: it is what tells callers to go.
	leaseLife, endLease := context.WithCancel(context.WithoutCancel(ctx))
	serving, refused := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := registration.Run(leaseLife); err != nil {
			refused(fmt.Errorf("register the instance: %w", err))
		}
	})
	tasks.Go(func() { r.certificates.watch(leaseLife) })
	defer refused(nil)
	defer tasks.Wait()
	defer endLease()

	envoy, err := r.keepRunning(serving, registration)
	if err != nil || ctx.Err() == nil {
		if err == nil {
			err = context.Cause(serving)
		}
		if envoy != nil {
			envoy.end(r.config.Hurry)
		}
		return err
	}
	r.leave(leaseLife, envoy, registration)
	return nil
}

// Serving says whether the sidecar can serve at this moment. It may be asked from
// anywhere.
func (r *Runner) Serving() bool { return r.serving.Load() }

// instance is what is registered, without what only Envoy knows: the port.
func (r *Runner) instance(ctx context.Context) (mesh.Instance, error) {
	proxy := r.config.Bootstrap.Proxy
	instance := mesh.Instance{
		ID: proxy.Instance, Service: proxy.Service, Locality: r.config.Bootstrap.Locality,
		Weight: r.config.Weight, Labels: r.config.Labels, MTLS: r.config.Bootstrap.Identity != nil,
	}
	if !r.config.registers() {
		return instance, nil
	}
	address, err := advertised(ctx, r.config)
	if err != nil {
		return mesh.Instance{}, err
	}
	instance.Address = address
	// Checked here with a port that stands for the real one, rather than by the
	// control plane when Envoy is up.
	probe := instance
	probe.Port = max(r.config.AdvertisePort, 1)
	return instance, mesh.Invalid("run a sidecar", probe.Validate())
}

// folder is where Envoy runs, for it is told to look there for the certificates of
// a gateway and for the identity; "": where this process does.
func (r *Runner) folder() string {
	switch {
	case r.certificates.folder != nil:
		return r.certificates.folder.Path
	case r.config.Bootstrap.Identity != nil:
		return r.config.Bootstrap.Identity.Dir // which has a link to itself
	}
	return ""
}
