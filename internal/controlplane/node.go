package controlplane

import (
	"strings"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxNodeID bounds node ids, in bytes: two DNS-like names fit with room to spare.
const maxNodeID = 512

// metadataField is where a node's metadata holds its [mesh.Proxy].
const metadataField = "heddle"

// grpcAgent begins the user agents of gRPC's libraries, such as "gRPC Go". They
// refuse what an Envoy is sent, so one that does not say its profile has theirs.
const grpcAgent = "gRPC "

// parseNode reads what a proxy says of itself. Errors are gRPC statuses that
// tell the proxy's operator what to mend.
func parseNode(node *corev3.Node) (mesh.Proxy, error) {
	id := node.GetId()
	switch {
	case id == "":
		return mesh.Proxy{}, status.Error(codes.InvalidArgument, `the node id is empty: it has to be "<service>/<instance>"`)
	case len(id) > maxNodeID:
		return mesh.Proxy{}, status.Errorf(codes.InvalidArgument, "the node id has %d bytes: at most %d are allowed", len(id), maxNodeID)
	case !utf8.ValidString(id):
		return mesh.Proxy{}, status.Error(codes.InvalidArgument, "the node id is not valid UTF-8")
	}
	service, instance, found := strings.Cut(id, "/")
	if !found {
		return mesh.Proxy{}, status.Errorf(codes.InvalidArgument, `node id %+q: it has to be "<service>/<instance>"`, id)
	}
	proxy := mesh.Proxy{}
	if field := node.GetMetadata().GetFields()[metadataField]; field != nil {
		body, err := protojson.Marshal(field)
		if err != nil {
			return mesh.Proxy{}, status.Errorf(codes.InvalidArgument, "node id %+q: its metadata cannot be read: %v", id, err)
		}
		if err := mesh.Decode(body, &proxy); err != nil {
			return mesh.Proxy{}, status.Errorf(codes.InvalidArgument, "node id %+q: metadata %q: %v", id, metadataField, err)
		}
	}
	if proxy.Profile == "" && strings.HasPrefix(node.GetUserAgentName(), grpcAgent) {
		proxy.Profile = mesh.Proxyless
	}
	if proxy.Service != "" && string(proxy.Service) != service || proxy.Instance != "" && string(proxy.Instance) != instance {
		return mesh.Proxy{}, status.Errorf(codes.InvalidArgument, "node id %+q and its metadata (%+q/%+q) name different proxies", id, proxy.Service, proxy.Instance)
	}
	proxy.Service, proxy.Instance = mesh.ServiceName(service), mesh.InstanceID(instance)
	if err := mesh.Invalid("node "+id, proxy.Validate()); err != nil {
		return mesh.Proxy{}, status.Error(codes.InvalidArgument, err.Error())
	}
	return proxy, nil
}
