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
	Identity *Identity        // nil: the control plane is reached in plain text
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
	Type   string     `json:"type"`
	Config *grpcFiles `json:"config,omitempty"`
}

// grpcFiles are read again as often as said (gRFC A65, "mTLS Credentials in xDS
// Bootstrap File").
type grpcFiles struct {
	Cert    string `json:"certificate_file"`
	Key     string `json:"private_key_file"`
	Bundle  string `json:"ca_certificate_file"`
	Refresh string `json:"refresh_interval"`
}

// grpcRefresh is how often a gRPC library looks for a new certificate.
const grpcRefresh = "60s"

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
	credentials := grpcCredentials{Type: "insecure"}
	if i := c.Identity; i != nil {
		credentials = grpcCredentials{Type: "tls", Config: &grpcFiles{Cert: i.Cert, Key: i.Key, Bundle: i.Bundle, Refresh: grpcRefresh}}
	}
	for _, address := range c.XDS {
		bootstrap.Servers = append(bootstrap.Servers, grpcServer{
			URI: address, Creds: []grpcCredentials{credentials}, Features: []string{"xds_v3"},
		})
	}
	out, err := json.MarshalIndent(bootstrap, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode a gRPC library's bootstrap: %w", err)
	}
	return append(out, '\n'), nil
}
