package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// How soon a control plane that is gone without a word (a machine that lost its
// power, a firewall that forgot the connection) is noticed: by the HTTP/2 pings
// after at most 15 seconds. A gRPC server answers more pings than it allows
// with GOAWAY, so ours has to allow one every 10 seconds (grpc-go,
// keepalive.EnforcementPolicy.MinTime; its own default is 5 minutes).
const (
	pingInterval = 10 * time.Second
	pingTimeout  = 5 * time.Second
	dialTimeout  = 2 * time.Second
	// ejection is how long one that refuses connections is left out at first.
	ejection = 5 * time.Second
	// dnsRetryMax is the longest pause between two questions for its name.
	dnsRetryMax = 5 * time.Second
)

// xdsCluster is the control plane. With several addresses each sidecar begins
// at a random one, and goes to the next when that one is away.
func (c BootstrapConfig) xdsCluster() (*clusterv3.Cluster, error) {
	protocol, err := anypb.New(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
				ConnectionKeepalive: &corev3.KeepaliveSettings{
					Interval: durationpb.New(pingInterval),
					Timeout:  durationpb.New(pingTimeout),
				},
			}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("make the cluster of the control plane: %w", err)
	}
	endpoints, names, err := xdsEndpoints(c.XDS)
	if err != nil {
		return nil, err
	}
	cluster := &clusterv3.Cluster{
		Name:                 xdsCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(dialTimeout),
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: xdsCluster,
			Endpoints:   []*endpointv3.LocalityLbEndpoints{{LbEndpoints: endpoints}},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
		// For the kernel's view of the same fault: while nothing is unacknowledged
		// and pings are held back by flow control.
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveTime:     wrapperspb.UInt32(30),
			KeepaliveInterval: wrapperspb.UInt32(5),
			KeepaliveProbes:   wrapperspb.UInt32(3),
		}},
	}
	if c.Identity != nil {
		if cluster.TransportSocket, err = c.Identity.socket(); err != nil {
			return nil, err
		}
	}
	if names {
		cluster.ClusterDiscoveryType, err = strictDNS()
		if err != nil {
			return nil, err
		}
	}
	if len(c.XDS) > 1 || names {
		cluster.OutlierDetection = skipDead()
		// Never go back to those left out because they are many.
		cluster.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}}
	}
	return cluster, nil
}

// strictDNS resolves names again and again, and takes all addresses of each:
// what the cluster type STRICT_DNS is, without its deprecated fields.
func strictDNS() (*clusterv3.Cluster_ClusterType, error) {
	typed, err := anypb.New(&dnsv3.DnsCluster{
		// Envoy's default asks for IPv6 alone when a name has both, and then fails on
		// a machine that cannot reach it.
		DnsLookupFamily: dnscommonv3.DnsLookupFamily_V4_PREFERRED,
		// A sidecar often starts before its machine's DNS does.
		DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{
			BaseInterval: durationpb.New(200 * time.Millisecond),
			MaxInterval:  durationpb.New(dnsRetryMax),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the cluster of the control plane: %w", err)
	}
	return &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.clusters.dns", TypedConfig: typed,
	}}, nil
}

// skipDead leaves out, for some seconds, a control plane to which no connection
// could be made, so that reconnects do not go back to it by turns. It judges
// connections only: a control plane may refuse a node with a gRPC status.
func skipDead() *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		SplitExternalLocalOriginErrors:     true,
		ConsecutiveLocalOriginFailure:      wrapperspb.UInt32(1),
		EnforcingLocalOriginSuccessRate:    wrapperspb.UInt32(0),
		EnforcingConsecutive_5Xx:           wrapperspb.UInt32(0),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
		EnforcingSuccessRate:               wrapperspb.UInt32(0),
		Interval:                           durationpb.New(time.Second),
		BaseEjectionTime:                   durationpb.New(ejection),
		MaxEjectionTime:                    durationpb.New(4 * ejection),
		MaxEjectionPercent:                 wrapperspb.UInt32(99), // one always stays in, to be tried
	}
}

// xdsEndpoints also says whether there is a name to resolve among them.
func xdsEndpoints(addresses []string) (endpoints []*endpointv3.LbEndpoint, names bool, err error) {
	for _, address := range addresses {
		host, text, err := net.SplitHostPort(address)
		if err != nil {
			return nil, false, fmt.Errorf("the control plane's address %q: %w", address, err)
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, false, fmt.Errorf("the control plane's address %q: %w", address, err)
		}
		if _, err := netip.ParseAddr(host); err != nil {
			names = true
		}
		endpoints = append(endpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: socketAddress(host, uint32(port))},
		}})
	}
	return endpoints, names, nil
}
