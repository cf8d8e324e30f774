package controlplane

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Identities finds the service whose workload has proven itself on the connection
// of a stream: "" if the connection asks for no proof, an error if it does and
// there is none.
type Identities interface {
	Peer(ctx context.Context) (mesh.ServiceName, error)
}

// proven makes sure that a stream is served the scope of its proven identity and
// not of whatever service its node names. Errors are gRPC statuses.
func (c *ControlPlane) proven(ctx context.Context, proxy mesh.Proxy) error {
	if c.cfg.Identities == nil {
		return nil
	}
	service, err := c.cfg.Identities.Peer(ctx)
	node := string(proxy.Service) + "/" + string(proxy.Instance)
	switch {
	case err != nil:
		err = status.Errorf(codes.Unauthenticated, "node id %+q: %v", node, err)
	case service == "" && c.cfg.RequireIdentity:
		err = status.Errorf(codes.Unauthenticated, "node id %+q: this control plane serves only those who prove their identity, over TLS: connect to the port of its --xds-tls-listen", node)
	case service != "" && proxy.Profile == mesh.GatewayProfile: // which may have the name of a service
		err = status.Errorf(codes.PermissionDenied, "node id %+q: the certificate is of service %q, and gateways have no identities yet: connect to the port of --xds-listen", node, service)
	case service != "" && service != proxy.Service:
		err = status.Errorf(codes.PermissionDenied, "node id %+q: the certificate is of service %q, and may not be served as service %q", node, service, proxy.Service)
	}
	if err != nil {
		from := ""
		if caller, ok := peer.FromContext(ctx); ok {
			from = caller.Addr.String()
		}
		c.cfg.Logger.Warn("a stream was refused", "audit", true, "node", node, "service", service, "from", from, "error", err)
	}
	return err
}
