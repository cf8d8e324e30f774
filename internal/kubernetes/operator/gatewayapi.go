package operator

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
)

// gatewayAPI has the Gateway API served from the moment on when the cluster knows it. A
// manager's leader runs it.
type gatewayAPI struct {
	*joined

	manager  manager.Manager
	registry *client.Client // of this cluster alone
}

// looked is how often a cluster without the Gateway API is asked whether it has it now.
const looked = 5 * time.Second

// Start waits for the Gateway API's definitions, and starts its controller. It is
// given up with the manager.
func (g *gatewayAPI) Start(ctx context.Context) error {
	for told := false; ; {
		is, err := gatewayapi.Installed(g.manager.GetRESTMapper())
		switch {
		case is:
			g.log.Info("the cluster has the Gateway API: Gateways of classes with our controller are served", "controller", string(gatewayapi.ControllerName))
			return g.serve()
		case err != nil:
			g.log.Warn("the cluster does not say whether it has the Gateway API; asking again", "error", err)
		case !told:
			told = true
			g.log.Info("the cluster does not have the Gateway API (v1.5 or newer): nothing of it is served, until it is installed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause(looked)):
		}
	}
}

// serve adds the controller to the manager, which runs already.
func (g *gatewayAPI) serve() error {
	c := &gatewayapi.Controller{
		Cluster: g.Name, Client: g.manager.GetClient(), Live: g.manager.GetAPIReader(), Registry: g.registry, Log: g.log,
		Metrics: g.operator.gateways,
		Changes: func(look func()) func() {
			return g.operator.mirror.subscribe(func(c change) {
				if c.service != "" || c.route != "" {
					look()
				}
			})
		},
	}
	return c.Start(g.manager)
}
