package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/meshdns"
	"github.com/heddle-mesh/heddle/internal/probes"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// besideFlags are about what this program itself answers beside its Envoy.
type besideFlags struct {
	dnsFlags
	StatusPort int    `placeholder:"PORT" help:"Where /ready is answered to a kubelet, and /probe/CONTAINER/KIND by the application's own probe (those in $$HEDDLE_APP_PROBES). Default: nowhere."`
	AppProbes  string `at:"service" hidden:"" env:"HEDDLE_APP_PROBES" empty:"fine" help:"The application's own probes, as JSON; the injector sets it."`
}

// dnsFlags are about the DNS server beside an Envoy to which connections are redirected.
type dnsFlags struct {
	DNSPort    int    `at:"service" name:"dns-port" default:"${dnsPort}" placeholder:"PORT" help:"With --intercept: where DNS queries are answered on loopback: names such as orders.mesh, and all others by the machine's resolvers. 0: nowhere."`
	ResolvConf string `at:"service" type:"path" default:"/etc/resolv.conf" placeholder:"FILE" help:"Names the machine's resolvers."`
}

// beside is what answers beside Envoy, from before it is started until it has ended.
type beside struct {
	dns    *meshdns.Server // nil: none
	status net.Listener    // nil: none
	probes map[string]probes.Probe
	app    string
	log    *slog.Logger
	runner atomic.Pointer[proxy.Runner] // nil until there is an identity
}

// listen takes the ports.
func (f *besideFlags) listen(intercepts bool, app string, log *slog.Logger) (*beside, error) {
	b := &beside{app: app, log: log}
	if b.app == "" {
		b.app = mesh.DefaultLoopback
	}
	var err error
	if b.probes, err = probes.Parse(f.AppProbes); err != nil {
		return nil, wrongFlags(err)
	}
	for flag, port := range map[string]int{"--status-port": f.StatusPort, "--dns-port": f.DNSPort} {
		if port < 0 || port > 65535 {
			return nil, &usageError{message: fmt.Sprintf("%s %d is not a port", flag, port)}
		}
	}
	if intercepts {
		if b.dns, err = f.listenDNS(log); err != nil {
			return nil, err
		}
	}
	if f.StatusPort != 0 {
		if b.status, err = net.Listen("tcp", ":"+strconv.Itoa(f.StatusPort)); err != nil { //nolint:noctx // it does not block
			if b.dns != nil {
				b.dns.Close()
			}
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("listen on --status-port %d", f.StatusPort), Err: err}
		}
	}
	return b, nil
}

// listenDNS takes the port; nil: queries are not answered.
func (f *dnsFlags) listenDNS(log *slog.Logger) (*meshdns.Server, error) {
	switch {
	case f.DNSPort == 0:
		return nil, nil //nolint:nilnil // none is no error
	case f.DNSPort < 0 || f.DNSPort > 65535:
		return nil, &usageError{message: fmt.Sprintf("--dns-port %d is not a port", f.DNSPort)}
	}
	if err := intercept.NamesLeadHere(); err != nil {
		log.Warn("names of the mesh lead nowhere", "error", err)
	}
	addresses := []netip.Addr{netip.MustParseAddr(mesh.DefaultLoopback)}
	if proxy.HasIPv6() {
		addresses = append(addresses, netip.IPv6Loopback())
	}
	return meshdns.Listen(meshdns.Config{Addresses: addresses, Port: mesh.Port(f.DNSPort), ResolvConf: f.ResolvConf, Logger: log})
}

// run answers for as long as the sidecar lives, which is longer than ctx: it drains.
func (b *beside) run(ctx context.Context, sidecar func(context.Context) error) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	faults := make(chan error, 2)
	var tasks sync.WaitGroup
	answer := func(by func(context.Context) error) {
		tasks.Go(func() {
			if err := by(life); err != nil {
				faults <- err
				stop()
			}
		})
	}
	if b.dns != nil {
		answer(b.dns.Run)
	}
	if b.status != nil {
		answer(b.serveStatus)
	}
	err := sidecar(ctx)
	end()
	tasks.Wait()
	close(faults)
	for fault := range faults {
		err = errors.Join(err, fault)
	}
	return err
}

func (b *beside) serveStatus(ctx context.Context) error {
	handler := &probes.Handler{Ready: b.ready, Probes: b.probes, Address: b.app, Logger: b.log}
	if err := handler.Serve(ctx, b.status); err != nil {
		return fmt.Errorf("answer on --status-port: %w", err)
	}
	return nil
}

// ready says why the sidecar cannot serve.
func (b *beside) ready() error {
	switch runner := b.runner.Load(); {
	case runner == nil:
		return errors.New("the sidecar has no identity yet, or has not begun")
	case !runner.Serving():
		return errors.New("the sidecar's Envoy cannot serve yet, or no longer: the log of heddle proxy says why")
	}
	return nil
}
