package controlplane

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Identities finds who has proven itself on the connection of a stream: nobody if
// the connection asks for no proof, an error if it does and there is none.
type Identities interface {
	Peer(ctx context.Context) (mesh.Identity, error)
}

// proven makes sure that a stream is served the scope of its proven identity and
// not of whatever its node names. Errors are gRPC statuses.
func (c *ControlPlane) proven(ctx context.Context, proxy mesh.Proxy) error {
	if c.cfg.Identities == nil {
		return nil
	}
	of, err := c.cfg.Identities.Peer(ctx)
	asked := mesh.Identity{Kind: mesh.ServiceIdentity, Name: proxy.Service}
	if proxy.Profile == mesh.GatewayProfile { // which may have the name of a service
		asked.Kind = mesh.GatewayIdentity
	}
	node := string(proxy.Service) + "/" + string(proxy.Instance)
	switch {
	case err != nil:
		err = status.Errorf(codes.Unauthenticated, "node id %+q: %v", node, err)
	case of == (mesh.Identity{}) && c.cfg.RequireIdentity:
		err = status.Errorf(codes.Unauthenticated, "node id %+q: this control plane serves only those who prove their identity, over TLS: connect to the port of its --xds-tls-listen", node)
	case of != (mesh.Identity{}) && of != asked:
		err = status.Errorf(codes.PermissionDenied, "node id %+q: the certificate is of %s, and may not be served as %s", node, of.Phrase(), asked.Phrase())
	}
	if err != nil {
		from := ""
		if caller, ok := peer.FromContext(ctx); ok {
			from = caller.Addr.String()
		}
		entry := mesh.AuditEntry{
			Outcome: mesh.AuditRefused, Action: "stream", Object: "node/" + node, Author: of.String(), // by its certificate
			From: from, Source: "xds", Reason: status.Convert(err).Message(),
		}
		entry.Log(ctx, c.cfg.Logger)
	}
	return err
}
