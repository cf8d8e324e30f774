package proxy

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ProxylessConfig says for which gRPC client a bootstrap is and where the
// control plane is.
type ProxylessConfig struct {
	Service  mesh.ServiceName // required
	Instance mesh.InstanceID  // required
	Locality mesh.Locality    // where the client runs
	XDS      []string         // control planes, "host:port" each; none: 127.0.0.1:18000
}

// grpcBootstrap is what a gRPC library reads from the file that
// GRPC_XDS_BOOTSTRAP names (gRFC A27, "xDS Client Bootstrap").
type grpcBootstrap struct {
	Servers []grpcServer    `json:"xds_servers"` // those after the first are fallbacks (gRFC A71)
	Node    json.RawMessage `json:"node"`
}

type grpcServer struct {
	URI      string            `json:"server_uri"`
	Creds    []grpcCredentials `json:"channel_creds"`
	Features []string          `json:"server_features"`
}

type grpcCredentials struct {
	Type string `json:"type"`
}

// ProxylessBootstrap writes what a gRPC library that speaks xDS starts from, as
// JSON. The same configuration gives the same bytes. A wrong configuration is a
// KindInvalid error with every fault.
func ProxylessBootstrap(c ProxylessConfig) ([]byte, error) {
	of := BootstrapConfig{
		Proxy:    mesh.Proxy{Service: c.Service, Instance: c.Instance, Profile: mesh.Proxyless},
		Locality: c.Locality, XDS: c.XDS,
	}
	if err := mesh.Invalid("make a gRPC library's bootstrap", of.Validate()); err != nil {
		return nil, err
	}
	if len(c.XDS) == 0 {
		c.XDS = []string{defaultXDS}
	}
	node, err := of.node()
	if err != nil {
		return nil, err
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(node)
	if err != nil {
		return nil, fmt.Errorf("encode a gRPC library's bootstrap: %w", err)
	}
	bootstrap := grpcBootstrap{Node: raw}
	for _, address := range c.XDS {
		bootstrap.Servers = append(bootstrap.Servers, grpcServer{
			URI: address, Creds: []grpcCredentials{{Type: "insecure"}}, Features: []string{"xds_v3"},
		})
	}
	out, err := json.MarshalIndent(bootstrap, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode a gRPC library's bootstrap: %w", err)
	}
	return append(out, '\n'), nil
}
