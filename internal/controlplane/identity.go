package controlplane

import (
	"context"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Identities finds who has proven itself on the connection of a stream: nobody if
// the connection asks for no proof, an error if it does and there is none.
type Identities interface {
	Peer(ctx context.Context) (mesh.Identity, error)
}

// Reporter gives who reports of calls, if whoever is on the connection may report as
// the node: a service, or gateway/NAME. Services have to be declared, and gateways
// proven, named by a route, or connected to this server; else whoever reaches the plain
// port could have any number of them counted. sure is false for the last: anybody may
// connect a gateway of a new name. Errors are gRPC statuses.
func (c *ControlPlane) Reporter(ctx context.Context, node *corev3.Node) (name string, sure bool, err error) {
	proxy, err := parseNode(node)
	if err == nil {
		err = c.proven(ctx, proxy)
	}
	switch {
	case err != nil:
		return "", false, err
	case proxy.Profile == mesh.GatewayProfile:
		sure = c.isProven(ctx) || RouteNames(c.cfg.Catalog.View(), proxy.Service)
		if !sure && !c.scopes.hasGateway(proxy.Service) {
			return "", false, status.Errorf(codes.FailedPrecondition, "node id %+q: no route names gateway %q, and it is not connected to this control plane", node.GetId(), proxy.Service)
		}
		return mesh.GatewayCaller(proxy.Service), sure, nil
	}
	if _, declared := c.cfg.Catalog.View().Service(proxy.Service); !declared {
		return "", false, status.Errorf(codes.FailedPrecondition, "node id %+q: no service %q is declared", node.GetId(), proxy.Service)
	}
	return string(proxy.Service), true, nil
}

// RouteNames says whether a route is for that gateway by name.
func RouteNames(view *catalog.View, gateway mesh.ServiceName) bool {
	return slices.ContainsFunc(view.Routes(), func(r *mesh.Route) bool { return slices.Contains(r.Gateways, gateway) })
}

func (c *ControlPlane) isProven(ctx context.Context) bool {
	if c.cfg.Identities == nil {
		return false
	}
	of, err := c.cfg.Identities.Peer(ctx)
	return err == nil && of != (mesh.Identity{})
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
