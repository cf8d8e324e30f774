package translate

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The type URLs of the resources.
const (
	TypeCluster   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	TypeEndpoint  = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	TypeListener  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	TypeRoute     = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	TypeSecret    = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
	TypeExtension = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
	TypeRuntime   = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
)

// Resource is one Envoy resource. Its message is not changed once it is returned.
type Resource struct {
	Type    string // type URL
	Name    string
	Message proto.Message
	Origin  Origin
	// Settle is how long after sending it listeners and routes that need it are
	// held back: for clusters that resolve a name, whose readiness nothing shows.
	Settle time.Duration
	// TTL is how long a proxy keeps it after it lost its control planes; zero: for
	// as long as it runs.
	TTL time.Duration
}

// Origin is the newest of the objects that a resource was made from: the one
// whose writing changed it last.
type Origin struct {
	Object   string // such as "service/orders" or "instance/orders/orders-1"
	Author   string
	Revision int64
}

// Problem is a part of a declaration that could not be translated as declared.
type Problem struct {
	Object  string // such as "service/orders"
	Message string
}

func originOf(s *mesh.Service) Origin {
	return Origin{Object: objectName(s.Name), Author: s.Meta.Author, Revision: s.Meta.Revision}
}

// newest is the origin of a resource that was made from several services; of two
// with one revision the first, and none is nil.
func newest(services ...*mesh.Service) Origin {
	last := services[0]
	for _, s := range services[1:] {
		if s.Meta.Revision > last.Meta.Revision {
			last = s
		}
	}
	return originOf(last)
}

func objectName(service mesh.ServiceName) string { return "service/" + string(service) }
