package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// XDSMode is the variant of the xDS protocol that Envoy speaks.
type XDSMode string

// The variants.
const (
	Delta XDSMode = "delta" // only what changed is sent; the default
	SotW  XDSMode = "sotw"  // state of the world: each response holds all resources of a type
)

const (
	// xdsCluster is the name of the one static cluster, the control plane.
	xdsCluster = mesh.ControlPlaneCluster
	// runtimeLayer is the name of the runtime layer that the control plane serves.
	runtimeLayer = "heddle"
	// metadataField is the field of the node's metadata that holds a [mesh.Proxy].
	metadataField = "heddle"
	// These tell the control plane that it may send resources with a TTL, in SotW
	// in an envelope (Envoy, "Well Known Client Features").
	featureTTL     = "xds.config.supports-resource-ttl"
	featureWrapped = "xds.config.resource-in-sotw"
	// adminAddress keeps the admin interface, which can stop Envoy, on this machine.
	adminAddress = "127.0.0.1"

	// defaultXDS is where `heddle server` serves xDS unless told otherwise.
	defaultXDS = "127.0.0.1:18000"
	// defaultMaxConnections bounds what one workload may be made to hold: about
	// 4 GiB of Envoy's memory at worst, and more than an application behind it takes.
	defaultMaxConnections = 50_000
)

// The reconnects of the ADS stream. The delay is drawn from the whole of an
// interval that doubles with each refusal, so the longest one is what a change
// may be late after a restart of the control plane, and what a thousand sidecars
// come back within: a server takes them in half of that. Envoy's own defaults
// are 0.5 s to 30 s.
const (
	reconnectBase = 100 * time.Millisecond
	reconnectMax  = time.Second
)

// BootstrapConfig says for whom a bootstrap is and where the control plane is.
type BootstrapConfig struct {
	Proxy    mesh.Proxy    // Service and Instance are required; it is sent to the control plane as it is
	Locality mesh.Locality // where the workload runs
	XDS      []string      // control planes, "host:port" each; none: 127.0.0.1:18000

	// Identity has the control plane reached over TLS, with the workload's
	// certificate; nil: in plain text.
	Identity *Identity

	XDSMode        XDSMode   // default Delta
	AdminPort      mesh.Port // on loopback; 0: a free one
	MaxConnections int       // most connections at once from applications and callers; default 50000
}

// Validate reports every fault.
func (c BootstrapConfig) Validate() mesh.Faults {
	c.Proxy.Identity = c.Identity != nil
	f := c.Proxy.Validate()
	for i, address := range c.XDS {
		if fault := hostPortFault(address); fault != "" {
			f.Add(fmt.Sprintf("xds[%d]", i), "%s", fault)
		}
	}
	if c.XDSMode != "" && c.XDSMode != Delta && c.XDSMode != SotW {
		f.Add("xdsMode", "%q is not one of %q, %q", string(c.XDSMode), Delta, SotW)
	}
	if c.AdminPort < 0 || c.AdminPort > 65535 {
		f.Add("adminPort", "%d is not a port: use 1 to 65535, or 0 for a free one", int(c.AdminPort))
	}
	if c.MaxConnections < 0 {
		f.Add("maxConnections", "%d is negative", c.MaxConnections)
	}
	c.clashes(&f)
	return f
}

// Bootstrap writes the configuration that Envoy starts from, as JSON. The same
// configuration gives the same bytes. A wrong configuration is a KindInvalid
// error with every fault.
func Bootstrap(c BootstrapConfig) ([]byte, error) {
	if err := mesh.Invalid("make Envoy's bootstrap", c.Validate()); err != nil {
		return nil, err
	}
	if len(c.XDS) == 0 {
		c.XDS = []string{defaultXDS}
	}
	node, err := c.node()
	if err != nil {
		return nil, err
	}
	cluster, err := c.xdsCluster()
	if err != nil {
		return nil, err
	}
	clusters := []*clusterv3.Cluster{cluster}
	if c.Proxy.TokenDelivery == mesh.PushTokens {
		tokens, err := tokensCluster()
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, tokens)
	}
	overload, err := c.overload()
	if err != nil {
		return nil, err
	}
	runtime, err := layeredRuntime()
	if err != nil {
		return nil, err
	}
	return encode(&bootstrapv3.Bootstrap{
		Node:             node,
		StaticResources:  &bootstrapv3.Bootstrap_StaticResources{Clusters: clusters},
		DynamicResources: c.dynamicResources(),
		LayeredRuntime:   runtime,
		Admin: &bootstrapv3.Admin{
			Address: socketAddress(adminAddress, uint32(c.AdminPort)),
			// An operator has to get in above all when there are too many connections.
			IgnoreGlobalConnLimit: true,
		},
		OverloadManager: overload,
		StatsConfig:     &metricsv3.StatsConfig{UseAllDefaultTags: wrapperspb.Bool(true)},
		// Nothing is pushed to a stats sink; histograms are merged when /stats is read
		// instead of every 5 seconds in each of thousands of idle sidecars.
		StatsFlush: &bootstrapv3.Bootstrap_StatsFlushOnAdmin{StatsFlushOnAdmin: true},
	})
}

func (c BootstrapConfig) node() (*corev3.Node, error) {
	c.Proxy.Identity = c.Identity != nil
	raw, err := json.Marshal(c.Proxy)
	if err != nil {
		return nil, fmt.Errorf("encode the proxy's metadata: %w", err)
	}
	var profile structpb.Struct
	if err := protojson.Unmarshal(raw, &profile); err != nil {
		return nil, fmt.Errorf("encode the proxy's metadata: %w", err)
	}
	node := &corev3.Node{
		Id:      string(c.Proxy.Service) + "/" + string(c.Proxy.Instance),
		Cluster: string(c.Proxy.Service),
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			metadataField: structpb.NewStructValue(&profile),
		}},
	}
	if c.Proxy.Profile != mesh.Proxyless {
		node.ClientFeatures = []string{featureTTL, featureWrapped} // Envoy knows TTLs, and does not say so by itself
	}
	// Node.js's gRPC refuses a bootstrap whose node has no locality, even an empty one.
	if c.Locality != (mesh.Locality{}) || c.Proxy.Profile == mesh.Proxyless {
		node.Locality = &corev3.Locality{Region: c.Locality.Region, Zone: c.Locality.Zone}
	}
	return node, nil
}

// dynamicResources has listeners and clusters come over one aggregated stream,
// which keeps their order (xDS protocol, "Aggregated Discovery Service").
func (c BootstrapConfig) dynamicResources() *bootstrapv3.Bootstrap_DynamicResources {
	api := corev3.ApiConfigSource_DELTA_GRPC
	if c.XDSMode == SotW {
		api = corev3.ApiConfigSource_GRPC
	}
	return &bootstrapv3.Bootstrap_DynamicResources{
		LdsConfig: overADS(),
		CdsConfig: overADS(),
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:             api,
			TransportApiVersion: corev3.ApiVersion_V3,
			// The node is some hundred bytes that need not ride on every ACK.
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{
				TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: xdsCluster,
					RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
						BaseInterval: durationpb.New(reconnectBase),
						MaxInterval:  durationpb.New(reconnectMax),
					}},
				}},
			}},
		},
	}
}

func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

// layeredRuntime has three layers, the later over the earlier: what Heddle
// finds sane, what the operators of the mesh set for all, and what someone at
// this machine sets by the admin interface.
func layeredRuntime() (*bootstrapv3.LayeredRuntime, error) {
	static, err := structpb.NewStruct(map[string]any{
		// Envoy refuses a pattern of more than 100 RE2 instructions, which an
		// ordinary alternation of paths exceeds. The model bounds patterns already.
		"re2.max_program_size.error_level": 20_000,
		"re2.max_program_size.warn_level":  5_000,
	})
	if err != nil {
		return nil, fmt.Errorf("make the static runtime layer: %w", err)
	}
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{
		{Name: "static", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: static}},
		{Name: runtimeLayer, LayerSpecifier: &bootstrapv3.RuntimeLayer_RtdsLayer_{RtdsLayer: &bootstrapv3.RuntimeLayer_RtdsLayer{
			Name: runtimeLayer, RtdsConfig: overADS(),
		}}},
		{Name: "admin", LayerSpecifier: &bootstrapv3.RuntimeLayer_AdminLayer_{AdminLayer: &bootstrapv3.RuntimeLayer_AdminLayer{}}},
	}}, nil
}

// overload bounds the connections that Envoy takes: past the bound it closes
// new ones at once, instead of running out of memory or file descriptors.
func (c BootstrapConfig) overload() (*overloadv3.OverloadManager, error) {
	most := int64(c.MaxConnections)
	if most == 0 {
		most = defaultMaxConnections
	}
	monitor, err := anypb.New(&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: most})
	if err != nil {
		return nil, fmt.Errorf("make the overload manager: %w", err)
	}
	return &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{{
		Name:       "envoy.resource_monitors.global_downstream_max_connections",
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: monitor},
	}}}, nil
}

func socketAddress(address string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// encode writes m as indented JSON. protojson varies its white space on
// purpose, so the layout is encoding/json's.
func encode(m proto.Message) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode Envoy's bootstrap: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("encode Envoy's bootstrap: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// hostPortFault says why s is no "host:port" to connect to, or "".
func hostPortFault(s string) string {
	const example = "write host:port, such as 10.0.0.5:18000"
	if strings.Contains(s, "://") {
		return fmt.Sprintf("%q has a scheme; %s", s, example)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Sprintf("%q is not an address: %s", s, example)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return fmt.Sprintf("%q has no port from 1 to 65535; %s", s, example)
	}
	if _, err := netip.ParseAddr(host); err != nil && !isHostName(host) {
		return fmt.Sprintf("%q has no host name or IP address; %s", s, example)
	}
	return ""
}

// isHostName is what a resolver may be asked for; it is not strict.
func isHostName(s string) bool {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
	}
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool { return !allowed(r) })
}
