package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	defaultConnectTimeout = time.Second
	appConnectTimeout     = time.Second

	// How long an idle upstream connection is kept. It has to be shorter than the
	// other side's patience, or else that side closes it just as a request sets
	// out: an hour for the sidecars of the mesh, a minute for most servers and
	// load balancers outside, 5 s for an application on Node.js.
	idleToSidecar = 30 * time.Minute
	idleToOutside = 50 * time.Second
	idleToApp     = 4 * time.Second
)

const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// upstream makes the cluster of a called service, which all its callers share,
// and those for the subsets that requests are mirrored to.
func (b *builder) upstream(s *mesh.Service) {
	c := b.clusterFor(s)
	origin := originOf(s)
	settle := settleOf(s)
	for _, subset := range mirrored(s) {
		one := proto.CloneOf(c)
		one.Name = b.shared(subsetCluster(s.Name, subset))
		one.LbSubsetConfig = onlySubset(s, subset)
		if one.EdsClusterConfig != nil {
			one.EdsClusterConfig.ServiceName = string(s.Name)
		}
		b.add(TypeCluster, one.Name, one, origin)
	}
	b.add(TypeCluster, c.Name, c, origin).Settle = settle
	b.secret(s)
}

func (b *builder) clusterFor(s *mesh.Service) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                          b.shared(string(s.Name)),
		ConnectTimeout:                or(s.Traffic.ConnectTimeout, defaultConnectTimeout),
		CircuitBreakers:               circuitBreakers(s),
		OutlierDetection:              outlierDetection(s.Traffic.OutlierDetection),
		HealthChecks:                  healthChecks(s),
		LbSubsetConfig:                subsetConfig(s),
		TransportSocket:               transportSocket(s),
		TypedExtensionProtocolOptions: upstreamProtocol(s),
		// An instance that left the registry goes at once. Its requests under way
		// are finished all the same: Envoy drains the connections of a host that left.
		IgnoreHealthOnHostRemoval: true,
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{
			// Envoy's default goes back to all instances, the drained and the sick ones
			// included, once fewer than half are healthy: as when the second of three drains.
			HealthyPanicThreshold: &typev3.Percent{Value: 0},
		},
	}
	b.noticeSilence(c)
	balance(c, s.Traffic.LoadBalancing)
	locate(c, s)
	b.secureUpstream(c, s)
	b.inject(c, s)
	return c
}

// noticeSilence ends connections whose other side is gone without a word: those on which
// nothing is said in 45 s, or in 10 s where what is sent has to be acknowledged.
func (b *builder) noticeSilence(c *clusterv3.Cluster) {
	alive := &corev3.TcpKeepalive{KeepaliveTime: wrapperspb.UInt32(30), KeepaliveInterval: wrapperspb.UInt32(5), KeepaliveProbes: wrapperspb.UInt32(3)}
	if limit := b.trust.Unacknowledged; limit > 0 {
		alive = &corev3.TcpKeepalive{KeepaliveTime: wrapperspb.UInt32(5), KeepaliveInterval: wrapperspb.UInt32(2), KeepaliveProbes: wrapperspb.UInt32(2)}
		c.UpstreamBindConfig = &corev3.BindConfig{SocketOptions: []*corev3.SocketOption{{
			Description: "TCP_USER_TIMEOUT of Linux (tcp(7))", Level: 6, Name: 18, Value: &corev3.SocketOption_IntValue{IntValue: limit.Milliseconds()},
		}}}
	}
	c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: alive}
}

// locate says where the cluster's instances come from.
func locate(c *clusterv3.Cluster, s *mesh.Service) {
	switch {
	case s.Resolved() != nil:
		locateByDNS(c, s)
	case len(s.Endpoints.Static) > 0:
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		c.LoadAssignment = staticEndpoints(s)
	default:
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS()}
		if c.Name != string(s.Name) {
			c.EdsClusterConfig.ServiceName = string(s.Name)
		}
	}
}

func staticEndpoints(s *mesh.Service) *endpointv3.ClusterLoadAssignment {
	group := &endpointv3.LocalityLbEndpoints{}
	for _, one := range s.Endpoints.Static {
		group.LbEndpoints = append(group.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(one.Address, one.Port)}},
			LoadBalancingWeight: count(one.Weight),
		})
	}
	if len(s.Traffic.LoadBalancing.LocalityWeights) > 0 {
		group.LoadBalancingWeight = wrapperspb.UInt32(1)
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: string(s.Name), Endpoints: []*endpointv3.LocalityLbEndpoints{group}}
}

// upstreamProtocol is how requests are written to the service.
func upstreamProtocol(s *mesh.Service) map[string]*anypb.Any {
	idle := idleToOutside
	var ping *corev3.KeepaliveSettings
	if s.Endpoints.Registered() {
		idle = idleToSidecar
		// Only sidecars are pinged: a gRPC server answers pings that it finds too
		// many by closing the connection.
		ping = &corev3.KeepaliveSettings{Interval: durationpb.New(30 * time.Second), Timeout: durationpb.New(5 * time.Second)}
	}
	return protocolOptions(s.Protocol, idle, ping)
}

func protocolOptions(p mesh.Protocol, idle time.Duration, ping *corev3.KeepaliveSettings) map[string]*anypb.Any {
	if !p.IsHTTP() {
		return nil
	}
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
	}
	if p != mesh.HTTP {
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: &corev3.Http2ProtocolOptions{ConnectionKeepalive: ping},
		}
	}
	return map[string]*anypb.Any{httpOptions: pack(&httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(idle)},
		UpstreamProtocolOptions:   &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
	})}
}

// mirrored are the subsets that some rule mirrors to: Envoy's mirror policy
// names a cluster and cannot ask for a subset, so each has a cluster of its own.
func mirrored(s *mesh.Service) []string {
	var out []string
	seen := map[string]bool{}
	for _, rule := range s.Routes {
		if m := rule.Mirror; m != nil && !seen[m.Subset] {
			seen[m.Subset] = true
			out = append(out, m.Subset)
		}
	}
	return out
}

func subsetCluster(service mesh.ServiceName, subset string) string {
	return "subset." + string(service) + "." + subset
}
