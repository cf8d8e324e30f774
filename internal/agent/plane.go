package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// plane is the control plane of one host.
type plane struct {
	control *controlplane.ControlPlane
	xds     *xds.Server
	grpc    *grpc.Server
}

func newPlane(c *catalog.Catalog, metrics prometheus.Registerer, logger *slog.Logger) plane {
	p := plane{control: controlplane.New(controlplane.Config{Catalog: c, Trust: trust(), Registerer: metrics, Logger: logger})}
	p.xds = xds.NewServer(xds.Config{Scopes: p.control, Registerer: metrics, Logger: logger})
	p.grpc = grpc.NewServer(append(xds.ServerOptions(),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))...) // as often as Envoy pings
	p.xds.Register(p.grpc)
	return p
}

// unacknowledged is what a host is given to acknowledge what it is sent, some packets of
// which may be lost on their way.
const unacknowledged = 3 * time.Second

func trust() translate.Trust {
	if runtime.GOOS != "linux" {
		return translate.Trust{}
	}
	return translate.Trust{Unacknowledged: unacknowledged}
}

// partingTime bounds how long streams may take to end.
const partingTime = 2 * time.Second

func (p plane) run(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.control.Run(ctx, p.xds) })
	group.Go(func() error {
		if err := p.grpc.Serve(listener); err != nil {
			return fmt.Errorf("serve xDS: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
		defer cancel()
		_ = p.xds.Shutdown(ctx) // what does not end in time is cut off
		p.grpc.Stop()
		return nil
	})
	return group.Wait()
}
