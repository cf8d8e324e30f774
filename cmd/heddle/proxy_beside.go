package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/cmd/internal/interceptcli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/meshdns"
	"github.com/heddle-mesh/heddle/internal/probes"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// besideFlags are about what this program itself answers beside its Envoy.
type besideFlags struct {
	interceptcli.DNSFlags
	StatusPort int    `placeholder:"PORT" help:"Where /ready is answered to a kubelet, and /probe/CONTAINER/KIND by the application's own probe (those in $$HEDDLE_APP_PROBES). Default: nowhere."`
	AppProbes  string `at:"service" hidden:"" env:"HEDDLE_APP_PROBES" empty:"fine" help:"The application's own probes, as JSON; the injector sets it."`
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
		return nil, cli.WrongFlags(err)
	}
	for flag, port := range map[string]int{"--status-port": f.StatusPort, "--dns-port": f.DNSPort} {
		if port < 0 || port > 65535 {
			return nil, &cli.UsageError{Message: fmt.Sprintf("%s %d is not a port", flag, port)}
		}
	}
	if intercepts {
		if b.dns, err = f.ListenDNS(log); err != nil {
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

// run answers for as long as the sidecar lives, which is longer than ctx: it drains.
func (b *beside) run(ctx context.Context, sidecar func(context.Context) error) error {
	var others []func(context.Context) error
	if b.dns != nil {
		others = append(others, b.dns.Run)
	}
	if b.status != nil {
		others = append(others, b.serveStatus)
	}
	return cli.Beside(ctx, sidecar, others...)
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
