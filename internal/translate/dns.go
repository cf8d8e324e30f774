package translate

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// settleDNS is long enough for an answer from a resolver nearby and short
// enough to go unnoticed.
const settleDNS = 250 * time.Millisecond

// refreshDNS is how often a name is resolved whose answers have no TTL to go
// by, such as "there is no such name": the first pod of a service makes it.
const refreshDNS = 2 * time.Second

func settleOf(s *mesh.Service) time.Duration {
	if s.Resolved() != nil {
		return settleDNS
	}
	return 0
}

// locateByDNS has each sidecar resolve the host name, again and again. The
// cluster type "envoy.clusters.dns" is what STRICT_DNS and LOGICAL_DNS are,
// without their deprecated fields.
func locateByDNS(c *clusterv3.Cluster, s *mesh.Service) {
	d := s.Resolved()
	cluster := &dnsv3.DnsCluster{
		AllAddressesInSingleEndpoint: d.Discovery == mesh.DNSLogical,
		DnsLookupFamily:              family(d.Family),
		DnsRefreshRate:               or(d.Refresh, refreshDNS),
		RespectDnsTtl:                d.Refresh == 0,
		// A name that cannot be resolved yet is often one that is about to exist.
		DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{
			BaseInterval: durationpb.New(500 * time.Millisecond),
			MaxInterval:  durationpb.New(5 * time.Second),
		},
		TypedDnsResolverConfig: resolver(d.Resolvers),
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.clusters.dns", TypedConfig: pack(cluster),
	}}
	port := d.Port
	if port == 0 {
		port = s.Port
	}
	group := &endpointv3.LocalityLbEndpoints{LbEndpoints: []*endpointv3.LbEndpoint{{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(d.Host, port)}},
	}}}
	if len(s.Traffic.LoadBalancing.LocalityWeights) > 0 {
		group.LoadBalancingWeight = count(1)
	}
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: string(s.Name), Endpoints: []*endpointv3.LocalityLbEndpoints{group}}
}

func family(f mesh.IPFamily) dnscommonv3.DnsLookupFamily {
	switch f {
	case mesh.IPv6:
		return dnscommonv3.DnsLookupFamily_V6_ONLY
	case mesh.IPBoth:
		return dnscommonv3.DnsLookupFamily_ALL
	}
	return dnscommonv3.DnsLookupFamily_V4_ONLY
}

// resolver names the DNS servers to ask; nil leaves that to the machine.
func resolver(servers []string) *corev3.TypedExtensionConfig {
	if len(servers) == 0 {
		return nil
	}
	config := &caresv3.CaresDnsResolverConfig{
		// The machine's search domains belong to the machine's resolvers.
		DnsResolverOptions: &corev3.DnsResolverOptions{NoDefaultSearchDomain: true},
	}
	for _, server := range servers {
		address, err := netip.ParseAddrPort(server)
		if err != nil {
			continue // validation keeps this out
		}
		config.Resolvers = append(config.Resolvers, socket(address.Addr().String(), mesh.Port(address.Port())))
	}
	return &corev3.TypedExtensionConfig{Name: "envoy.network.dns_resolver.cares", TypedConfig: pack(config)}
}
